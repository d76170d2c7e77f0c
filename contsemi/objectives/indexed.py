"""The shape of methods whose soft classes an index of the task's images may have a say in.

``labels_from`` says where an unlabelled image's classes come from: the method's own ``prototypes``
(its votes, or its classifier, where it has no such), what the ``index`` says, or ``both``, which
believes the latter as far as it is sure. What the index says is ``index_by``; see
:class:`~contsemi.blocks.index_labels.IndexLabels`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.propagation import certainty
from contsemi.blocks.index_labels import IndexLabels
from contsemi.losses.numerics import wide
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Indexed(Objective):
    """A method that asks :meth:`soft_classes` before it believes its targets."""

    idle: ClassVar = {
        f"index_{key}": {"labels_from": ["prototypes"], "index_by": without}
        for key, without in IndexLabels.unread_by.items()
    }
    # The same of a method that asks the index of large views alone
    of_large: ClassVar[Mapping[str, Mapping[str, Sequence[Any]]]] = {
        "labels_from": {"large_views": [0]},
        **{key: {**others, "large_views": [0]} for key, others in idle.items()},
    }

    # The term by which what the index says teaches the head that predicts
    index_in: ClassVar[str | None] = "clustering"

    # Where the soft classes of unlabelled images come from: the method's own `prototypes` (votes or
    # classifier, where it has no such), the `index` of the task's images, or `both`, which believes
    # the latter as far as it is sure
    labels_from: str = "prototypes"
    index_by: str = "propagation"  # or comatch, simmatch, means: see `blocks.index_labels`
    index_neighbours: int = 50  # of the graph
    index_spread: float = 0.99  # how far labels spread over it
    index_temperature: float = 0.1  # of cosines with stored rows
    index_share: float = 0.1  # of these in the smoothing of `comatch` and `simmatch`
    index_threshold: float = 0.95  # probability from which `means` believes the method

    def __post_init__(self) -> None:
        super().__post_init__()
        self.index = None
        if self.labels_from != "prototypes":
            self.index = IndexLabels(
                self.index_by,
                neighbours=self.index_neighbours,
                spread=self.index_spread,
                temperature=self.index_temperature,
                share=self.index_share,
                threshold=self.index_threshold,
                head=self.indexed_head(),
            )

    @property
    def decides(self) -> bool:
        """The index knows labels, too."""
        return self._by_index or super().decides

    def teaches(self, head: str) -> bool:
        """As far as the index has a say in its classes, too."""
        by_index = self._by_index and head in ("classifier", "prototypes")
        return super().teaches(head) or (by_index and head in self.needs.head_names)

    @property
    def _by_index(self) -> bool:
        return (
            self.index is not None and self.index_in is not None and self.learns_by(self.index_in)
        )

    def indexed_head(self) -> str | None:
        """The head whose embeddings are in the index; ``None`` for the backbone's features."""
        return "projector"

    def soft_classes(self, step: Step, decides: Outputs, targets: Tensor) -> Tensor:
        """Soft classes [V * B, K] that the index has a say in; the targets, where there is none.

        Args:
            step: the step.
            decides: outputs of the views by the network that made the targets.
            targets: [V * B, K] over ``step.columns``, rows sum to 1.
        """
        if self.index is None:
            return targets
        head = self.indexed_head()
        seen = decides.features if head is None else decides[head]
        with torch.no_grad():
            rows = functional.normalize(wide(seen), dim=1)
            found: Tensor = self.index(targets, rows, step.places)
        if self.labels_from == "index":
            return found
        sure = certainty(found)[:, None]
        return (1 - sure) * targets + sure * found

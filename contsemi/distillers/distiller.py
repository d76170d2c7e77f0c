"""The contract of a distiller: an objective's shape, with the frozen past in each step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from contsemi.discovery import Part
from contsemi.types import Experience, Needs, Step


@dataclass(kw_only=True, eq=False)
class Distiller(Part, nn.Module):
    """What is kept of earlier tasks: one file a paper; composes with any objective.

    ``terms`` is called in every task; there is no frozen network in the first one.
    """

    group: ClassVar[str] = "distiller"

    needs: Needs = field(init=False, repr=False)
    # whether labelled rows count by ``step.label_weights`` wherever a term reads them
    reweighs: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        super().__init__()

    def begin(self, experience: Experience) -> None:
        """A task begins."""

    def why_undone(self, tasks: Sequence[Experience], *, exemplars: bool) -> str | None:
        """Why no term of it would ever count in a stream; ``None`` where one may.

        Args:
            tasks: of the stream, at least one.
            exemplars: whether labelled images of earlier tasks come in its steps.
        """
        if self.needs.pasts and len(tasks) == 1:
            return "the stream is of one task, and there is nothing before it"
        return None

    def terms(self, step: Step) -> dict[str, Tensor]:
        """The scalar terms of the loss, by the names that ``weights`` in the YAML has."""
        raise NotImplementedError

    def after_step(self) -> None:
        """The optimiser has stepped."""

    def end(self, experience: Experience) -> None:
        """The task is over."""

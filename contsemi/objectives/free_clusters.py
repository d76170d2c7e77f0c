"""The shape of methods on free clusters: each view predicts to which ones another view belongs.

The clusters stand for no class: nothing here needs a label. Where labels are at hand, a linear
classifier on the features learns from them besides; ``labelled_views: 0`` leaves that out. The
prediction is by soft nearest neighbours in the features.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.prior import Prior
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.models.heads import clusters
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step


@dataclass(kw_only=True, eq=False)
class FreeClusters(Objective):
    """A method says in :meth:`assigned` which clusters the large views belong to."""

    idle: ClassVar = {
        key: {"large_views": [0]}
        for key in ("weights.clustering", "clusters", "temperature", "prior", "small_views")
    }

    clusters: int  # K; a batch (with its queue) should have a few rows for each
    temperature: float  # of the predictions of clusters
    smoothing: float  # of the labels
    vote_temperature: float  # of the cosines with the labelled images at hand that predict
    # How much each cluster is to be used: `even`, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views)
        self.reweighs = True  # labelled rows are read by their cross-entropy alone
        self.share = Prior(self.prior, self.clusters)

    def asks_with(self, directions: str = "unit", **more: Any) -> Needs:
        """The needs, with clusters of a kind; ``more`` is of :meth:`Objective.asks`."""
        learned = ("classifier",) if self.labelled_views else ()
        head = clusters(self.clusters, directions)
        return self.asks("projector", head, *learned, supports_at_test=True, **more)

    def assigned(self, step: Step, large: Outputs, wanted: Tensor | None) -> Tensor:
        """Soft clusters [V * B, K] of the large views, or of some of them.

        Args:
            step: the step.
            large: what the trained network says of them.
            wanted: [K], how much each cluster is to be used; ``None`` for evenly.
        """
        raise NotImplementedError

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` of the unlabelled views, and ``labels`` by the classifier."""
        terms = labels_term(step, smoothing=self.smoothing) if self.labelled_views else {}
        large = step.student("large")
        if large is not None:
            wanted = self.share.of_scores(large["clusters"], temperature=self.temperature)
            terms["clustering"] = swapped_cross_entropy(
                step.views("clusters"),
                self.assigned(step, large, wanted),
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
        return terms

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Log-probabilities by the soft vote of the labelled images, in the backbone's features."""
        return self.vote(outputs, supports, temperature=self.vote_temperature)

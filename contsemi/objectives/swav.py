"""SwAV: images shared out among free clusters, each view predicting the share of the others.

Source: Caron et al. 2020, "Unsupervised learning of visual features by contrasting cluster
assignments". The clusters stand for no class, so nothing here needs a label. Where labels are at
hand, a linear classifier on the features learns from them besides, and its gradient reaches the
backbone: ``labelled_views: 0`` leaves that out, and with it labelled images from the batch and
its BatchNorm statistics. The prediction is by soft nearest neighbours either way.
"""

from dataclasses import dataclass

from torch import Tensor

from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.prior import Prior
from contsemi.blocks.shares import Shares
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.models.heads import clusters
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step

__all__ = ["Swav"]


@dataclass(kw_only=True, eq=False)
class Swav(Objective):
    """Swapped assignments of free clusters."""

    clusters: int  # K; a batch (with its queue) should have a few rows for each
    temperature: float  # of the predictions of clusters
    epsilon: float  # temperature of the assignments
    iterations: int  # of Sinkhorn-Knopp or MIRA
    assign: str = "sinkhorn"  # who shares the images out: sinkhorn, all evenly, or mira
    beta: float = 0.0  # weight of the mutual information, of `mira`
    queue: int  # earlier embeddings of each large view, of this task, that share the balance
    queue_from: int  # epoch of a task from which the queue is filled; it is used once full
    smoothing: float  # of the labels
    vote_temperature: float  # of the cosines with the labelled images at hand that predict
    # How much each cluster is to be used: `even`, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views)
        self.reweighs = True  # labelled rows are read by their cross-entropy alone
        self.share = Prior(self.prior, self.clusters)
        self.shares = Shares(
            "clusters",
            epsilon=self.epsilon,
            iterations=self.iterations,
            queue=self.queue,
            queue_from=self.queue_from,
            assign=self.assign,
            beta=self.beta,
        )
        self.needs = self.asks(
            "projector",
            clusters(self.clusters),
            *(("classifier",) if self.labelled_views else ()),
            supports_at_test=True,
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` of the unlabelled views, and ``labels`` by the classifier."""
        terms = labels_term(step, smoothing=self.smoothing) if self.labelled_views else {}
        large = step.student("large")
        if large is not None:
            wanted = self.share.of_scores(large["clusters"], temperature=self.temperature)
            terms["clustering"] = swapped_cross_entropy(
                step.views("clusters"),
                self.shares(step, large, prior=wanted),
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
        return terms

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Log-probabilities by the soft vote of the labelled images, in the backbone's features."""
        return self.vote(outputs, supports, temperature=self.vote_temperature)

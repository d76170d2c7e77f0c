"""SwAV: images shared out among free clusters, each view predicting the share of the others.

Source: Caron et al. 2020, "Unsupervised learning of visual features by contrasting cluster
assignments". The clusters stand for no class, so nothing here needs a label. Where labels are at
hand, a linear classifier on the features learns from them besides, and its gradient reaches the
backbone: ``labelled_views: 0`` leaves that out, and with it labelled images from the batch and
its BatchNorm statistics. The prediction is by soft nearest neighbours either way.
"""

import torch
from torch import Tensor

from contsemi.assign.sinkhorn import sinkhorn_by_view
from contsemi.losses.cross_entropy import smooth_labels
from contsemi.losses.labelled import labelled_cross_entropy
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.memory.queue import Queue
from contsemi.objectives.objective import Objective, enough_views
from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Swav"]


class Swav(Objective):
    """Swapped assignments of free clusters.

    Args:
        clusters: K; a batch (with its queue) should have a few rows for each.
        temperature: of the predictions of clusters.
        epsilon: temperature of the assignments.
        iterations: of Sinkhorn-Knopp.
        queue: earlier embeddings of each large view, of this task, that share the balance of the
            assignments; 0 for none.
        queue_from: epoch of a task from which the queue is filled; it is used once full.
        large_views, small_views: of each unlabelled image.
        labelled_views: of each labelled image, for the classifier; 0 for no classifier.
        supports_per_class: labelled images per seen class and step; 0 draws them uniformly.
        smoothing: of the labels.
        vote_temperature: of the cosines with the labelled images at hand that predict.
    """

    def __init__(
        self,
        *,
        clusters: int,
        temperature: float,
        epsilon: float,
        iterations: int,
        queue: int,
        queue_from: int,
        large_views: int,
        small_views: int,
        labelled_views: int,
        supports_per_class: int,
        smoothing: float,
        vote_temperature: float,
    ) -> None:
        super().__init__()
        enough_views(large_views)
        self.temperature, self.smoothing = temperature, smoothing
        self.epsilon, self.iterations = epsilon, iterations
        self.vote_temperature = vote_temperature
        self.queue = Queue(queue) if queue else None
        self.queue_from = queue_from
        self.num_seen = 0
        self.needs = Needs(
            heads=("projector", "clusters", *(("classifier",) if labelled_views else ())),
            clusters=clusters,
            labelled_views=labelled_views,
            large_views=large_views,
            small_views=small_views,
            supports_per_class=supports_per_class,
            labelled_from="all",
            supports_at_test=True,
        )

    def begin(self, experience: Experience) -> None:
        """Remembers how many columns there are."""
        self.num_seen = experience.num_seen

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` of the unlabelled views, and ``labels`` by the classifier."""
        terms = {}
        if step.large is not None and step.batch_size:
            views = [part["clusters"] for part in (step.large, step.small) if part is not None]
            terms["clustering"] = swapped_cross_entropy(
                torch.cat(views),
                self._targets(step, step.large),
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
        if step.labelled is not None and self.needs.labelled_views:
            terms["labels"], _ = labelled_cross_entropy(
                step, "classifier", temperature=1.0, smoothing=self.smoothing
            )
        return terms

    def _targets(self, step: Step, large: Outputs) -> Tensor:
        """The shares [A * B, K] of the large views."""
        rows = None
        if self.queue is not None and step.epoch >= self.queue_from:
            rows = self.queue.scores(large.directions["clusters"])
            self.queue.hold(large["projector"], batch_size=step.batch_size)
        return sinkhorn_by_view(
            large["clusters"].detach(),
            batch_size=step.batch_size,
            epsilon=self.epsilon,
            iterations=self.iterations,
            queue=rows,
        )

    def after_step(self) -> None:
        """The batch enters the queue."""
        if self.queue is not None:
            self.queue.push()

    def end(self, experience: Experience) -> None:
        """The queue is emptied: its rows are of this task's images."""
        if self.queue is not None:
            self.queue.clear()

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Log-probabilities by the soft vote of the labelled images, in the backbone's features."""
        if supports is None:
            raise RuntimeError("swav needs labelled images to predict")
        rows, labels = supports
        votes = smooth_labels(labels, self.num_seen, smoothing=0.0)
        return soft_nearest_neighbours(
            outputs.features, rows.features, votes, temperature=self.vote_temperature
        )

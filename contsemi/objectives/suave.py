"""Suave: clusters that are classes, learned from labels and from swapped assignments.

Source: Fini et al. 2023, "Semi-supervised learning made simple with self-supervised clustering".
Each prototype is a class. Labelled images are classified by it; the unlabelled images of the
current task are shared out among the task's prototypes by Sinkhorn-Knopp, and each view predicts
the share of the other views. In a stream only the current task's prototypes take part in that.

The linear probes that the official code trains beside it on detached features are left out: no
gradient of theirs reaches the network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contsemi.assign.sinkhorn import sinkhorn_by_view
from contsemi.losses.cross_entropy import soft_cross_entropy
from contsemi.losses.labelled import labelled_cross_entropy
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.memory.queue import Queue
from contsemi.objectives.objective import Objective, ema_momenta, enough_views, one_of
from contsemi.types import Experience, Mixed, Needs, Outputs, Step

__all__ = ["Suave"]


class Suave(Objective):
    """Clustering prototypes tied to classes.

    Args:
        temperature: of all predictions.
        epsilon: temperature of the assignments.
        iterations: of Sinkhorn-Knopp.
        smoothing: of the labels.
        large_views, small_views: of each unlabelled image.
        labelled_views: of each labelled image.
        supports_per_class: labelled images per seen class and step; 0 draws them uniformly.
        ramp: share of a task over which the weight of the clustering rises from 0 to 1: until
            the labels have placed new prototypes, assignments would fix classes at random.
        against: columns that an unlabelled view is classified among: ``current`` compares the
            task's own prototypes, ``seen`` also tells its images from old classes.
        queue: earlier embeddings of each large view, of this task, that share the balance of the
            assignments; 0 for none.
        queue_from: epoch of a task from which the queue is filled; it is used once full.
        teacher: momentum of an EMA network, at the start and the end of a task, which then makes
            the assignments, fills the queue and predicts; empty for none.
        mix_labelled: whether each step has the labelled images mixed with each other besides.
        mix_large: whether each step has one more view of the unlabelled images, mixed.
        mix_weight: what the mixed view counts for beside the others: its ``rows``, or one, as in
            the official code, which counts ``views`` there.
    """

    def __init__(
        self,
        *,
        temperature: float,
        epsilon: float,
        iterations: int,
        smoothing: float,
        large_views: int,
        small_views: int,
        labelled_views: int,
        supports_per_class: int,
        ramp: float,
        against: str,
        queue: int,
        queue_from: int,
        teacher: Sequence[float],
        mix_labelled: bool,
        mix_large: bool,
        mix_weight: str,
    ) -> None:
        super().__init__()
        one_of("against", against, "current", "seen")
        one_of("mix_weight", mix_weight, "rows", "views")
        enough_views(large_views)
        self.temperature, self.smoothing = temperature, smoothing
        self.epsilon, self.iterations = epsilon, iterations
        self.ramp, self.against, self.mix_weight = ramp, against, mix_weight
        self.queue = Queue(queue) if queue else None
        self.queue_from = queue_from
        self.needs = Needs(
            heads=("projector", "prototypes"),
            labelled_views=labelled_views,
            large_views=large_views,
            small_views=small_views,
            supports_per_class=supports_per_class,
            labelled_from="all",
            teacher=ema_momenta(teacher),
            mix_labelled=mix_labelled,
            mix_large=mix_large,
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` and ``labels``, each weighted by its share of the sample views."""
        views = [part["prototypes"] for part in (step.large, step.small) if part is not None]
        rows, mixed_rows = sum(map(len, views)), self._mixed_rows(step)
        labels, labelled_rows = None, 0
        if step.labelled is not None:
            labels, labelled_rows = labelled_cross_entropy(
                step, "prototypes", temperature=self.temperature, smoothing=self.smoothing
            )
        total = rows + mixed_rows + labelled_rows
        terms = {}
        if views and step.batch_size:
            risen = min(1.0, step.progress / self.ramp) if self.ramp else 1.0
            targets = self._targets(step)
            loss = self._swapped(step, views, targets) * (rows / total)
            if step.mixed_large is not None:
                mixed = self._mixed(step, step.mixed_large, targets)
                loss = loss + mixed * (mixed_rows / total)
            terms["clustering"] = loss * risen
        if labels is not None:
            terms["labels"] = labels * labelled_rows / total
        return terms

    def _mixed_rows(self, step: Step) -> int:
        if step.mixed_large is None:
            return 0
        return step.batch_size if self.mix_weight == "rows" else 1

    def _targets(self, step: Step) -> Tensor:
        """The shares [A * B, C_t] of the large views in the task's own classes."""
        source = step.large if self.needs.teacher is None else step.teacher
        if source is None:
            raise ValueError("a step without the views that decide the assignments")
        rows = None
        if self.queue is not None and step.epoch >= self.queue_from:
            rows = self.queue.scores(source.directions["prototypes"][step.columns])
            self.queue.hold(source["projector"], batch_size=step.batch_size)
        return sinkhorn_by_view(
            source["prototypes"].detach()[:, step.columns],
            batch_size=step.batch_size,
            epsilon=self.epsilon,
            iterations=self.iterations,
            queue=rows,
        )

    def _compared(self, step: Step, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and targets of the columns that are compared."""
        if self.against == "seen":
            everywhere = targets.new_zeros(len(targets), step.num_seen)
            return scores, everywhere.index_copy(1, step.columns, targets)
        return scores[:, step.columns], targets

    def _swapped(self, step: Step, views: list[Tensor], targets: Tensor) -> Tensor:
        scores, targets = self._compared(step, torch.cat(views), targets)
        return swapped_cross_entropy(
            scores, targets, batch_size=step.batch_size, temperature=self.temperature
        )

    def _mixed(self, step: Step, mixed: Mixed, targets: Tensor) -> Tensor:
        """A mixed image is to be in the classes of the first view and of its partner's second."""
        first, second = torch.split(targets, step.batch_size)[:2]
        blend = mixed.share * first + (1 - mixed.share) * second.flip(0)
        scores, blend = self._compared(step, mixed.outputs["prototypes"], blend)
        return soft_cross_entropy(scores, blend, temperature=self.temperature)

    def after_step(self) -> None:
        """The batch enters the queue."""
        if self.queue is not None:
            self.queue.push()

    def end(self, experience: Experience) -> None:
        """The queue is emptied: its rows are of this task's images."""
        if self.queue is not None:
            self.queue.clear()

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Cosines with the prototypes, over the temperature."""
        return outputs["prototypes"] / self.temperature

"""Suave: clusters that are classes, learned from labels and from swapped assignments.

Source: Fini et al. 2023, "Semi-supervised learning made simple with self-supervised clustering".
Each prototype is a class. Labelled images are classified by it; the unlabelled images of the
current task are shared out among the task's prototypes by Sinkhorn-Knopp, and each view predicts
the share of the other views. In a stream only the current task's prototypes take part in that.
"""

import torch
from torch import Tensor

from contsemi.assign.sinkhorn import sinkhorn
from contsemi.errors import InputError
from contsemi.losses.cross_entropy import label_cross_entropy
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step

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
    ) -> None:
        super().__init__()
        if against not in ("current", "seen"):
            raise InputError(
                "objective.against", f"expected current or seen, got {against!r}", "use current"
            )
        if large_views == 1:
            raise InputError(
                "objective.large_views",
                "one view has no other to predict",
                "use 2 or more, or 0 to learn from labels alone",
            )
        self.temperature, self.smoothing = temperature, smoothing
        self.epsilon, self.iterations = epsilon, iterations
        self.ramp, self.against = ramp, against
        self.needs = Needs(
            heads=("projector", "prototypes"),
            labelled_views=labelled_views,
            large_views=large_views,
            small_views=small_views,
            supports_per_class=supports_per_class,
            labelled_from="all",
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` and ``labels``, each weighted by its share of the sample views."""
        views = [part["prototypes"] for part in (step.large, step.small) if part is not None]
        labelled = None if step.labelled is None else step.labelled["prototypes"]
        total = sum(map(len, views)) + (0 if labelled is None else len(labelled))
        terms = {}
        if views and step.batch_size:
            share = sum(map(len, views)) / total
            risen = min(1.0, step.progress / self.ramp) if self.ramp else 1.0
            terms["clustering"] = self._clustering(step, views) * share * risen
        if labelled is not None:
            labels = step.labels.repeat(len(labelled) // len(step.labels))
            loss = label_cross_entropy(
                labelled, labels, temperature=self.temperature, smoothing=self.smoothing
            )
            terms["labels"] = loss * len(labelled) / total
        return terms

    def _clustering(self, step: Step, views: list[Tensor]) -> Tensor:
        large = torch.split(views[0].detach()[:, step.columns], step.batch_size)
        shares = [sinkhorn(s, epsilon=self.epsilon, iterations=self.iterations) for s in large]
        scores, targets = torch.cat(views), torch.cat(shares)
        if self.against == "seen":
            everywhere = targets.new_zeros(len(targets), step.num_seen)
            targets = everywhere.index_copy(1, step.columns, targets)
        else:
            scores = scores[:, step.columns]
        return swapped_cross_entropy(
            scores, targets, batch_size=step.batch_size, temperature=self.temperature
        )

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Cosines with the prototypes, over the temperature."""
        return outputs["prototypes"] / self.temperature

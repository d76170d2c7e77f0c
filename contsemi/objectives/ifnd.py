"""IFND: stored keys of the same cluster are no negatives, for more and more of the images.

Source: Chen et al. 2022, "Incremental false negative detection for contrastive learning". At the
start of each epoch the images of the task are clustered, at several numbers of clusters. Of each
number the surest images are believed, a share that rises with the task. ``eliminate`` leaves keys
of the same believed cluster out of the comparison, ``attract`` makes them positives. The paper has
no labels: here labelled images start the clusters, stay in that of their class and are believed
from the first; two of them are of one kind if they are of one class; and a linear classifier on
the features, which is what predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.acceptance import accepted
from contsemi.blocks.choices import start_and_end
from contsemi.blocks.clusters import Clusters
from contsemi.blocks.keyed import Keyed
from contsemi.losses.false_negatives import attraction, elimination
from contsemi.objectives.momentum_contrast import MomentumContrast
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Ifnd(MomentumContrast):
    """Momentum contrast without the false negatives that clusters tell."""

    variant: str  # eliminate or attract
    clusters: Sequence[float]  # for each class of the task, one number for each level
    iterations: int  # of k-means
    rate: Sequence[float]  # share of the images believed at the start and at the end of a task

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rates = start_and_end("objective.rate", self.rate)
        self.found = Clusters(
            self.clusters, iterations=self.iterations, temperature=self.temperature
        )

    def contrasts(self, rows: Keyed, step: Step) -> dict[str, Tensor]:
        """``contrast``."""
        compared = self.queue.compare(rows)
        ours = self._believed(rows.places, rows.labels, step)
        theirs = self._believed(compared.places, compared.labels, step)
        loss = attraction if self.variant == "attract" else elimination
        losses = []
        for own, stored in zip(ours, theirs, strict=True):
            weights = compared.positives((own[:, None] == stored) & (stored >= 0))
            none = torch.zeros_like(weights, dtype=torch.bool)
            first = none.index_fill(1, none.new_zeros(1, dtype=torch.int64), True)
            false = (weights > 0) & ~first
            losses.append(loss(compared.scores, first, false, none, temperature=self.temperature))
        return {"contrast": torch.stack(losses).mean()}

    def _believed(self, places: Tensor, labels: Tensor, step: Step) -> Tensor:
        """The clusters [levels, N] that are believed; -1 for the others."""
        start, end = self._rates
        rate = start + (end - start) * step.progress
        sure = accepted(self.found.rank(places, labels), rate, self.found.table.shape[1])
        clusters: Tensor = self.found(places, labels)
        return clusters.where(sure | (labels >= 0), -1)

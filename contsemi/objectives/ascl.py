"""ASCL: stored keys near to an image's own key are positives too, as far as the teacher is sure.

Source: Feng & Patras 2022, "Adaptive soft contrastive learning". With ``neighbours: 0`` it is MoCo.
``variant``: ``soft`` is the paper's; ``confident`` takes the nearest rows alike (AHCL), ``hard``
does without the confidence. ``form: batch`` is the paper's on BYOL: the relation is with the
other images of the batch, and a predictor goes towards their mean. It has no rule for labels: here
two labelled images are positives if they are of one class and negatives if not, and a linear
classifier on the features, which is what predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.relation import both_labelled, same_class
from contsemi.assign.soft_neighbours import soft_neighbours
from contsemi.blocks.key_queue import KeyQueue
from contsemi.blocks.keyed import Keyed, keyed, keyed_needs
from contsemi.blocks.labelled import labels_term
from contsemi.losses.contrast import contrast
from contsemi.objectives.objective import Objective
from contsemi.types import Step

__all__ = ["Ascl"]


@dataclass(kw_only=True, eq=False)
class Ascl(Objective):
    """Contrast with soft positives."""

    temperature: float  # of the queries' cosines
    teacher_temperature: float  # of the keys' cosines
    neighbours: int  # n, stored keys that are positives of a sure key
    variant: str  # soft, confident or hard
    form: str  # queue (MoCo) or batch (BYOL)
    bank: int  # keys of the queue
    current_only: bool  # whether a task begins with an empty queue, or old keys wait to be replaced
    both_ways: bool  # whether each view is a query and a key, or one strong and one weak view
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        self.queue = KeyQueue(self.bank, current_only=self.current_only)
        self.head = "projector" if self.form == "queue" else "predictor"
        self.needs = keyed_needs(
            *dict.fromkeys(("projector", self.head)),
            "classifier",
            both_ways=self.both_ways,
            labelled_views=self.labelled_views,
            supports_per_class=self.supports_per_class,
            teacher=self.teacher,
            key_policy="weak",
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``contrast`` of all images, each counted once, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        rows = keyed(step, head=self.head)
        if rows is not None:
            terms["contrast"] = self._queued(rows) if self.form == "queue" else self._batched(rows)
        return terms

    def _queued(self, rows: Keyed) -> Tensor:
        compared = self.queue.compare(rows)
        relation = self._relation(rows.keys @ compared.rows.T, compared.allow)
        return contrast(compared.scores, compared.positives(relation), temperature=self.temperature)

    def _batched(self, rows: Keyed) -> Tensor:
        relation = self._relation(rows.keys @ rows.keys.T, rows.others)
        both = both_labelled(rows.labels, rows.labels) & rows.others
        relation = torch.where(both, same_class(rows.labels, rows.labels).to(relation), relation)
        weights = relation + torch.eye(len(relation), device=relation.device, dtype=relation.dtype)
        targets = weights / weights.sum(dim=1, keepdim=True) @ rows.keys
        return (2 - 2 * (rows.queries * targets).sum(dim=1)).mean()

    def _relation(self, scores: Tensor, allow: Tensor) -> Tensor:
        return soft_neighbours(
            scores,
            temperature=self.teacher_temperature,
            neighbours=self.neighbours,
            variant=self.variant,
            allow=allow,
        )

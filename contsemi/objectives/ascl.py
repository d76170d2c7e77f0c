"""ASCL: stored keys near to an image's own key are positives too, as far as the teacher is sure.

Source: Feng & Patras 2022, "Adaptive soft contrastive learning". With ``neighbours: 0`` it is MoCo.
``variant``: ``soft`` is the paper's; ``confident`` takes the nearest rows alike (AHCL), ``hard``
does without the confidence. ``form: batch`` is the paper's on BYOL: the relation is with the
other images of the batch, and a predictor goes towards their mean. It has no rule for labels: here
two labelled images are positives if they are of one class and negatives if not, and a linear
classifier on the features, which is what predicts, is trained on the labels.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.assign.relation import both_labelled, same_class
from contsemi.assign.soft_neighbours import soft_neighbours
from contsemi.blocks.keyed import Keyed
from contsemi.losses.contrast import contrast
from contsemi.objectives.momentum_contrast import MomentumContrast
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Ascl(MomentumContrast):
    """Contrast with soft positives."""

    idle: ClassVar = {
        **{key: {"form": ["batch"]} for key in ("temperature", "bank", "current_only")},
        **{key: {"neighbours": [0]} for key in ("teacher_temperature", "variant")},
    }

    teacher_temperature: float  # of the keys' cosines
    neighbours: int  # n, stored keys that are positives of a sure key
    variant: str  # soft, confident or hard
    form: str  # queue (MoCo) or batch (BYOL)

    def asked_of(self) -> str:
        """A predictor's, in the form on BYOL."""
        return "projector" if self.form == "queue" else "predictor"

    def key_policy(self) -> str:
        """Weak views."""
        return "weak"

    def has_negatives(self) -> bool:
        """Not in the form on BYOL."""
        return self.form == "queue"

    def contrasts(self, rows: Keyed, step: Step) -> dict[str, Tensor]:
        """``contrast``."""
        return {"contrast": self._queued(rows) if self.form == "queue" else self._batched(rows)}

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

"""BYOL: each view predicts the slow network's embedding of the other views of its image.

Source: Grill et al. 2020, "Bootstrap your own latent". It has no rule for labels of its own: here a
labelled image predicts the mean embedding of its class in the batch, and a linear classifier on
the features, which is what predicts, is trained on the labels.
"""

from typing import Any

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.losses.regression import class_means, predicted, regression
from contsemi.losses.view_labels import view_label_cross_entropy
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step

__all__ = ["Byol"]


class Byol(Objective):
    """Regression to a moving target.

    Args:
        teacher: momentum of the slow network at the start and the end of a task.
        smoothing: of the labels.
        rows: ``large_views`` are targets, ``small_views`` only predict; see
            :class:`~contsemi.types.Needs`.
    """

    def __init__(self, *, teacher: list[float], smoothing: float, **rows: Any) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.needs = Needs(
            heads=("predictor", "classifier"),
            teacher=(teacher[0], teacher[-1]),
            teacher_labelled=True,
            labelled_from="all",
            **rows,
        )
        if 1 in (self.needs.large_views + self.needs.small_views, self.needs.labelled_views):
            problem = "one view has no other to predict"
            raise InputError("objective.large_views", problem, "use 2 or more views, or 0 for none")

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``regression`` of all images, each counted once, and ``labels``."""
        terms = {}
        if groups := predicted(step):
            targets = [
                class_means(group.targets, group.labels) if group.labelled else group.targets
                for group in groups
            ]
            terms["regression"] = regression(groups, torch.cat(targets))
        if step.labelled is not None:
            terms["labels"] = view_label_cross_entropy(
                step.labelled["classifier"], step.labels, smoothing=self.smoothing
            )
        return terms

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits."""
        return outputs["classifier"]

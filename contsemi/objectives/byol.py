"""BYOL: each view predicts the slow network's embedding of the other views of its image.

Source: Grill et al. 2020, "Bootstrap your own latent". It has no rule for labels of its own: here a
labelled image predicts the mean embedding of its class in the batch, and a linear classifier on
the features, which is what predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.predicted import predicted, regression
from contsemi.losses.regression import class_means
from contsemi.objectives.objective import Objective
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Byol(Objective):
    """Regression to a moving target; small views only predict, all others are targets, too."""

    idle: ClassVar = {"small_views": {"large_views": [0]}}

    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views + self.read_small_views, self.labelled_views)
        self.needs = self.asks(
            "predictor", "classifier", teacher=self.teacher, teacher_labelled=True
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``regression`` of all images, each counted once, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        if groups := predicted(step):
            targets = [
                class_means(group.targets, group.labels) if group.labelled else group.targets
                for group in groups
            ]
            terms["regression"] = regression(groups, torch.cat(targets))
        return terms

"""MSF: each view predicts the mean of the nearest neighbours of its image's target.

Source: Koohpayegani et al. 2021, "Mean shift for self-supervised learning". Targets enter the queue
before the search, so that one of an image's neighbours is its own target; with one neighbour this
is BYOL. The paper has no labels: here two labelled images are neighbours only within a class, and
a linear classifier on the features, which is what predicts, is trained on the labels. One large
view and one small one, of a stronger policy, are the paper's weak target and strong query.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.assign.relation import overruled
from contsemi.blocks.choices import enough_views
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.predicted import predicted, regression
from contsemi.objectives.objective import Objective
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Msf(Objective):
    """Mean shift; small views only predict, all others are targets, too."""

    idle: ClassVar = {"small_views": {"large_views": [0]}}

    neighbours: int  # rows of the queue that a target is the mean of
    bank: int  # rows of the queue
    current_only: bool  # whether a task begins with an empty queue, or old rows wait to be replaced
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views + self.read_small_views, self.labelled_views)
        self.stored = Fifo(self.bank, current_only=self.current_only)
        self.needs = self.asks(
            "predictor", "classifier", teacher=self.teacher, teacher_labelled=True
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``shift`` of all images, each counted once, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        if groups := predicted(step):
            targets = torch.cat([group.targets for group in groups])
            labels = torch.cat([group.labels for group in groups])
            self.stored.push(targets, labels=labels)
            anyone = self.stored.filled.expand(len(targets), -1)
            allow = overruled(anyone, labels, self.stored["labels"])
            terms["shift"] = regression(
                groups, self.stored.shifted(targets, self.neighbours, allow)
            )
        return terms

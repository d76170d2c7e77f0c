"""MSF: each view predicts the mean of the nearest neighbours of its image's target.

Source: Koohpayegani et al. 2021, "Mean shift for self-supervised learning". Targets enter the queue
before the search, so that one of an image's neighbours is its own target; with one neighbour this
is BYOL. The paper has no labels: here two labelled images are neighbours only within a class, and
a linear classifier on the features, which is what predicts, is trained on the labels. One large
view and one small one, of a stronger policy, are the paper's weak target and strong query.
"""

from typing import Any

import torch
from torch import Tensor

from contsemi.assign.relation import overruled
from contsemi.errors import InputError
from contsemi.losses.regression import predicted, regression
from contsemi.losses.view_labels import view_label_cross_entropy
from contsemi.memory.bank import Bank
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Msf"]


class Msf(Objective):
    """Mean shift.

    Args:
        neighbours: rows of the queue that a target is the mean of.
        bank: rows of the queue.
        current_only: whether images are compared with the present task alone: the queue is emptied
            when a task begins. Else rows of earlier tasks stay until new ones take their place.
        teacher: momentum of the slow network at the start and the end of a task.
        smoothing: of the labels.
        rows: ``large_views`` are targets, ``small_views`` only predict; see
            :class:`~contsemi.types.Needs`.
    """

    def __init__(
        self,
        *,
        neighbours: int,
        bank: int,
        current_only: bool,
        teacher: list[float],
        smoothing: float,
        **rows: Any,
    ) -> None:
        super().__init__()
        self.neighbours, self.smoothing = neighbours, smoothing
        self.current_only = current_only
        self.bank = Bank(bank, lasting=not current_only)
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

    def begin(self, experience: Experience) -> None:
        """Empties the queue, if so wished."""
        if self.current_only:
            self.bank.clear()

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``shift`` of all images, each counted once, and ``labels``."""
        terms = {}
        if groups := predicted(step):
            targets = torch.cat([group.targets for group in groups])
            labels = torch.cat([group.labels for group in groups])
            self.bank.push(targets, labels=labels)
            anyone = self.bank.filled.expand(len(targets), -1)
            allow = overruled(anyone, labels, self.bank["labels"])
            shifted = self.bank.shifted(targets, self.neighbours, allow)
            terms["shift"] = regression(groups, shifted)
        if step.labelled is not None:
            terms["labels"] = view_label_cross_entropy(
                step.labelled["classifier"], step.labels, smoothing=self.smoothing
            )
        return terms

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits."""
        return outputs["classifier"]

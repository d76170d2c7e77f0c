"""CMSF: mean shift among those rows of the queue that are probably of the same kind.

Source: Tejankar, Navaneet et al. 2022, "Constrained mean shift for representation learning".
``semi`` and ``sup``: a target's neighbours are rows of its class, given or predicted surely enough;
an image without either has the whole queue, as in MSF. The classifier that predicts is a linear
one on the features, trained at each step; the official code refits an MLP on stored targets.
``self``: its neighbours are among the rows that were its nearest at the visits before, and the loss
is the mean of this and MSF's; labels overrule both where both images have one. Where fewer rows
than neighbours are allowed, the mean is over these; the official code fills up with others.
"""

from typing import Any

import torch
from torch import Tensor

from contsemi.assign.relation import overruled
from contsemi.errors import InputError
from contsemi.losses.regression import Predicted, predicted, regression
from contsemi.losses.view_labels import view_label_cross_entropy
from contsemi.memory.bank import Bank
from contsemi.memory.visits import Visits
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Cmsf"]


class Cmsf(Objective):
    """Constrained mean shift.

    Args:
        variant: ``self``, ``semi`` or ``sup``.
        neighbours: rows of the queue that a target is the mean of.
        candidates: rows that ``self`` allows by the visits before.
        threshold: probability from which ``semi`` believes the classifier.
        bank: rows of the queue.
        current_only: whether images are compared with the present task alone: the queue is emptied
            when a task begins, and predicted classes are the task's. Else rows of earlier tasks
            stay until new ones take their place.
        teacher: momentum of the slow network at the start and the end of a task.
        smoothing: of the labels.
        detach: whether the classifier leaves the features alone, as in the paper.
        rows: ``large_views`` are targets, ``small_views`` only predict; see
            :class:`~contsemi.types.Needs`.
    """

    def __init__(
        self,
        *,
        variant: str,
        neighbours: int,
        candidates: int,
        threshold: float,
        bank: int,
        current_only: bool,
        teacher: list[float],
        smoothing: float,
        detach: bool,
        **rows: Any,
    ) -> None:
        super().__init__()
        if variant not in ("self", "semi", "sup"):
            raise InputError(
                "objective.variant", f"expected self, semi or sup, got {variant!r}", "use semi"
            )
        self.variant, self.threshold = variant, threshold
        self.neighbours, self.candidates = neighbours, candidates
        self.current_only, self.smoothing = current_only, smoothing
        self.bank = Bank(bank, lasting=not current_only)
        self.visits = Visits(lasting=not current_only) if variant == "self" else None
        self.needs = Needs(
            heads=("predictor", "classifier"),
            detached=("classifier",) if detach else (),
            teacher=(teacher[0], teacher[-1]),
            teacher_labelled=True,
            labelled_from="all",
            **rows,
        )
        if 1 in (self.needs.large_views + self.needs.small_views, self.needs.labelled_views):
            problem = "one view has no other to predict"
            raise InputError("objective.large_views", problem, "use 2 or more views, or 0 for none")

    def begin(self, experience: Experience) -> None:
        """Empties the queue, if so wished, and makes room for the visits of new images."""
        if self.current_only:
            self.bank.clear()
        if self.visits is not None:
            self.visits.begin(experience, forget=self.current_only)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``shift`` of all images, each counted once, and ``labels``."""
        terms = {}
        if groups := predicted(step):
            targets = torch.cat([group.targets for group in groups])
            labels = torch.cat([self._classes(group, step) for group in groups])
            ids = torch.cat([group.ids for group in groups])
            self.bank.push(targets, labels=labels, ids=ids)
            if self.visits is None:
                allow = self.bank.equal("labels", labels) | (labels < 0)[:, None]
                shifted = self.bank.shifted(targets, self.neighbours, allow)
            else:
                shifted = self._twice(self.visits, targets, labels, ids)
            terms["shift"] = regression(groups, shifted)
        if step.labelled is not None:
            terms["labels"] = view_label_cross_entropy(
                step.labelled["classifier"], step.labels, smoothing=self.smoothing
            )
        return terms

    def _classes(self, group: Predicted, step: Step) -> Tensor:
        """The labels, and for ``semi`` the class of an unlabelled image of which it is sure."""
        if group.labelled or self.variant != "semi" or step.teacher is None:
            return group.labels
        logits = step.teacher["classifier"]
        columns = torch.arange(step.num_seen, device=logits.device)
        if self.current_only:
            columns = step.columns
        surest = logits[:, columns].softmax(dim=1).max(dim=1)
        return torch.where(surest.values >= self.threshold, columns[surest.indices], -1)

    def _twice(self, visits: Visits, targets: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        """The mean of the neighbours in the whole queue and of those the visits before allow."""
        visits.push(targets, ids)
        anyone = self.bank.filled.expand(len(targets), -1)
        allow = overruled(anyone, labels, self.bank["labels"])
        free = self.bank.shifted(targets, self.neighbours, allow)
        near = visits.nearest(ids, self.bank["ids"], self.candidates, allow)
        found = self.bank.search(targets, self.neighbours, allow & near)
        return (free + self.bank.mean(found, free)) / 2

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits."""
        return outputs["classifier"]

"""CMSF: mean shift among those rows of the queue that are probably of the same kind.

Source: Tejankar, Navaneet et al. 2022, "Constrained mean shift for representation learning".
``semi`` and ``sup``: a target's neighbours are rows of its class, given or predicted surely enough;
an image without either has the whole queue, as in MSF. ``self``: its neighbours are among the rows
that were its nearest at the visits before, and the loss is the mean of this and MSF's; labels
overrule both where both images have one. Where fewer rows than neighbours are allowed, the mean is
over these; the official code fills up with others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.relation import overruled
from contsemi.blocks.choices import enough_views
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.predicted import Predicted, predicted, regression
from contsemi.blocks.refitted import Refitted
from contsemi.blocks.visits import Visits
from contsemi.models.heads import classifier
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Cmsf(Objective):
    """Constrained mean shift; small views only predict, all others are targets, too."""

    idle: ClassVar = {
        "candidates": {"variant": ["semi", "sup"]},
        "threshold": {"variant": ["self", "sup"], "large_views": [0]},
        "refit_every": {"classifier": ["live"]},
        "small_views": {"large_views": [0]},
    }

    variant: str  # self, semi or sup
    neighbours: int  # rows of the queue that a target is the mean of
    candidates: int  # rows that `self` allows by the visits before
    threshold: float  # probability from which `semi` believes the classifier
    bank: int  # rows of the queue, and of the one of labelled targets
    # Whether images are compared with the present task alone: a task begins with empty queues, and
    # predicted classes are the task's. Else old rows wait for new ones to take their place.
    current_only: bool
    # Who says what class an image is of: `refitted`, an MLP fitted now and then to the stored
    # targets of labelled images, as in the paper; `live`, a linear one trained at each step.
    classifier: str
    refit_every: int  # steps between two fits; the paper has two an epoch
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels
    detach: bool  # whether the live classifier leaves the features alone

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views + self.read_small_views, self.labelled_views)
        now = self.current_only
        self.stored = Fifo(self.bank, current_only=now)
        self.visits = Visits() if self.variant == "self" else None
        self.refitted = None
        if self.classifier == "refitted":
            self.refitted = Refitted(self.bank, every=self.refit_every, current_only=now)
        self.needs = self.asks(
            "predictor",
            classifier(detached=self.detach),
            teacher=self.teacher,
            teacher_labelled=True,
        )

    @property
    def decides(self) -> bool:
        """The fitted classifier learns from labels by itself."""
        fits = self.refitted is not None and "labelled" in self.needs.rows
        return fits or super().decides

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``shift`` of all images, each counted once, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        if groups := predicted(step):
            targets = torch.cat([group.targets for group in groups])
            labels = torch.cat([self._classes(group, step) for group in groups])
            ids = torch.cat([group.ids for group in groups])
            self.stored.push(targets, labels=labels, ids=ids)
            if self.visits is None:
                allow = self.stored.equal("labels", labels) | (labels < 0)[:, None]
                shifted = self.stored.shifted(targets, self.neighbours, allow)
            else:
                shifted = self._twice(self.visits, targets, labels, ids)
            terms["shift"] = regression(groups, shifted)
        return terms

    def _classes(self, group: Predicted, step: Step) -> Tensor:
        """The labels, and for ``semi`` the class of an unlabelled image of which it is sure."""
        if group.labelled and self.refitted is not None:
            self.refitted.push(group.targets, group.labels, step.draw("refit"))
        teacher = step.teacher("large")
        if group.labelled or self.variant != "semi" or teacher is None:
            return group.labels
        columns = step.columns if self.current_only else step.all_columns
        logits = teacher["classifier"]
        if self.refitted is not None:
            logits = self.refitted(group.targets)
        surest = logits[:, columns].softmax(dim=1).max(dim=1)
        return torch.where(surest.values >= self.threshold, columns[surest.indices], -1)

    def _twice(self, visits: Visits, targets: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        """The mean of the neighbours in the whole queue and of those the visits before allow."""
        visits.push(targets, ids)
        anyone = self.stored.filled.expand(len(targets), -1)
        allow = overruled(anyone, labels, self.stored["labels"])
        free = self.stored.shifted(targets, self.neighbours, allow)
        near = visits.nearest(ids, self.stored["ids"], self.candidates, allow)
        found = self.stored.search(targets, self.neighbours, allow & near)
        return (free + self.stored.mean(found, free)) / 2

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The logits of the classifier that says what class an image is of."""
        if self.refitted is None:
            return super().predict(outputs, supports)
        logits: Tensor = self.refitted(functional.normalize(outputs["projector"], dim=1))
        return logits

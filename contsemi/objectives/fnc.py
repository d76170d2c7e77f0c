"""FNC: candidates that resemble any view of an image are no negatives of it.

Source: Huynh et al. 2022, "Boosting contrastive self-supervised learning with false negative
cancellation". All views of an image support the search, and all are contrasted. ``attract`` makes
the candidates found positives, ``eliminate`` leaves them out. The candidates are the batch, and
with a ``queue`` the slow network's embeddings of this and of earlier batches. The paper has no
labels: here two labelled images are of one kind if they are of one class, and a linear classifier
on the features, which is what predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.false_negatives import false_negatives, support_scores
from contsemi.assign.relation import overruled
from contsemi.blocks.by_view import by_view, equal_views, labels_of_all
from contsemi.blocks.choices import ema_momenta
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.labelled import labels_term
from contsemi.losses.false_negatives import attraction, elimination
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Step, Teacher


@dataclass(kw_only=True, eq=False)
class Fnc(Objective):
    """Contrast without false negatives."""

    idle: ClassVar = {"current_only": {"queue": [0]}, "teacher": {"queue": [0]}}

    temperature: float  # of all cosines
    variant: str  # attract or eliminate
    threshold: float  # cosine that a false negative exceeds
    most: int  # false negatives of an image, at most
    queue: int  # rows of the memory, those of the batch included; 0 for the batch alone
    current_only: bool  # whether a task begins with an empty queue
    teacher: Sequence[float]  # momentum of the slow network with a queue
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stored = Fifo(max(self.queue, 1), current_only=self.current_only)
        sees = ("student", "teacher") if self.queue else ("student",)
        self.needs = Needs(
            views=equal_views(self.large_views, self.labelled_views, seen_by=sees),
            heads=("projector", "classifier"),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=Teacher(ema_momenta(self.teacher)) if self.queue else None,
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``contrast`` of all images, each counted once, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        views = by_view(step, "student", "projector")
        if views is None:
            return terms
        labels, views = labels_of_all(step), functional.normalize(views, dim=2)
        slow = by_view(step, "teacher", "projector") if self.queue else None
        support = views.detach() if slow is None else functional.normalize(slow.detach(), dim=2)
        number, images = views.shape[:2]
        place = torch.arange(number * images, device=labels.device)
        candidates, theirs, row = support.flatten(0, 1), labels.repeat(number), place
        if slow is None:
            candidates = views.flatten(0, 1)
        else:
            candidates, theirs, row = self._with_memory(candidates, theirs)
        own = (row >= 0) & (row % images == place[:images, None])
        found = support_scores(support, candidates.detach(), own)
        found = found.masked_fill(row < -1, -torch.inf)
        false = false_negatives(found, most=self.most, threshold=self.threshold)
        false = overruled(false, labels, theirs) & ~own & (row >= -1)
        itself = row == place[:, None]
        loss = attraction if self.variant == "attract" else elimination
        scores = (views.flatten(0, 1) @ candidates.T).masked_fill(row < -1, -torch.inf)
        # The official code counts an image for both of its two main views.
        terms["contrast"] = 2 * loss(
            scores,
            own.repeat(number, 1) & ~itself,
            false.repeat(number, 1),
            itself,
            temperature=self.temperature,
        )
        return terms

    def _with_memory(self, rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Stored rows, their labels, and which row of the batch each is.

        The batch is among them. Earlier rows are -1, and what was never written is -2.
        """
        first = self.stored.pointer.clone()
        born = first + torch.arange(len(rows), device=rows.device)
        self.stored.push(rows, labels=labels, born=born)
        row = (self.stored["born"] - first).clamp(min=-1).where(self.stored.filled, -2)
        return self.stored.rows, self.stored["labels"], row

"""FNC: candidates that resemble any view of an image are no negatives of it.

Source: Huynh et al. 2022, "Boosting contrastive self-supervised learning with false negative
cancellation". All views of an image support the search, and all are contrasted. ``attract`` makes
the candidates found positives, ``eliminate`` leaves them out. The candidates are the batch, and
with a ``bank`` the slow network's embeddings of this and of earlier batches. The paper has no
labels: here two labelled images are of one kind if they are of one class, and a linear classifier
on the features, which is what predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.false_negatives import false_negatives, support_scores
from contsemi.assign.relation import overruled
from contsemi.blocks.bank import Bank
from contsemi.blocks.choices import ema_momenta, one_of
from contsemi.blocks.labelled import labels_term
from contsemi.errors import InputError
from contsemi.losses.false_negatives import attraction, elimination
from contsemi.losses.numerics import wide
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step, View

__all__ = ["Fnc"]


@dataclass(kw_only=True, eq=False)
class Fnc(Objective):
    """Contrast without false negatives."""

    temperature: float  # of all cosines
    variant: str  # attract or eliminate
    threshold: float  # cosine that a false negative exceeds
    most: int  # false negatives of an image, at most
    bank: int  # rows of the memory, those of the batch included; 0 for the batch alone
    current_only: bool  # whether a task begins with an empty memory
    teacher: Sequence[float]  # momentum of the slow network with a bank
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("variant", self.variant, "attract", "eliminate")
        if self.labelled_views not in (0, self.large_views):
            raise InputError(
                "objective.labelled_views",
                f"expected as many views as of the others, {self.large_views}",
                "use that number, or 0",
            )
        self.stored = Bank(max(self.bank, 1), current_only=self.current_only)
        sees = ("student", "teacher") if self.bank else ("student",)
        numbers = {"unlabelled": ("large", self.large_views)}
        numbers["labelled"] = ("labelled", self.labelled_views)
        self.needs = Needs(
            views={
                name: View(rows=rows, policy=name, number=number, seen_by=sees)
                for rows, (name, number) in numbers.items()
                if number
            },
            heads=("projector", "classifier"),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=ema_momenta(self.teacher) if self.bank else None,
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``contrast`` of all images, each counted once, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        labels = torch.cat([torch.full_like(step.unlabelled_ids, -1), step.labels])
        sizes = {"large": step.batch_size, "labelled": len(step.labels)}
        views = _by_view([(step.student(name), size) for name, size in sizes.items()])
        if views is None:
            return terms
        slow = None
        if self.bank:
            slow = _by_view([(step.teacher(name), size) for name, size in sizes.items()])
        support = views.detach() if slow is None else slow
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


def _by_view(parts: Sequence[tuple[Outputs | None, int]]) -> Tensor | None:
    """The unit rows [V, N, D] of the images of all parts, given with their numbers."""
    rows = [
        functional.normalize(wide(part["projector"]), dim=1).view(
            -1, number, part["projector"].shape[1]
        )
        for part, number in parts
        if part is not None
    ]
    return torch.cat(rows, dim=1) if rows else None

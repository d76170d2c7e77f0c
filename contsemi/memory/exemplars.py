"""Images of earlier tasks that may be looked at again.

Invariants: never more images than the budget; classes within one of each other, as far as each has
images; no image twice; the same stream gives the same choice. Each class keeps its first images in
the order in which they came, as in NNCSL (Kang et al. 2023): labelled ones come first, so
pseudo-labelled ones only fill what they leave free. The pixels are copied, so that a task's images
are never read after the task.
"""

import torch
from torch import Tensor

__all__ = ["Exemplars", "balanced_quota", "sure_rows"]


def balanced_quota(counts: Tensor, budget: int) -> Tensor:
    """How many images each class may keep.

    Args:
        counts: int64 [C], images at hand per class.
        budget: images over all classes.

    Returns:
        int64 [C]: everything where it fits; else an equal share each, what scarce classes leave is
        shared among the others, and the remainder goes one each to the earliest classes.
    """
    quota = counts.clone()
    if int(counts.sum()) <= budget:
        return quota
    level = next(q for q in range(int(counts.max()), -1, -1) if counts.clamp(max=q).sum() <= budget)
    quota = counts.clamp(max=level)
    room = budget - int(quota.sum())
    quota[(counts > level).nonzero().flatten()[:room]] += 1
    return quota


def sure_rows(
    probs: Tensor,
    ids: Tensor,
    *,
    threshold: float,
    columns: Tensor,
    taken: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Rows that may be kept with their prediction as label, in random order.

    Args:
        probs: [n, C] predicted probabilities.
        ids: int64 [n].
        threshold: least probability of the predicted class.
        columns: int64, classes that may be predicted.
        taken: int64, ids that are not wanted: their label is known.
        generator: draws the order; on the CPU.

    Returns:
        int64 [k], k <= n, row numbers.
    """
    confidence, column = probs.max(1)
    sure = (confidence >= threshold) & torch.isin(column, columns) & ~torch.isin(ids, taken)
    order = torch.randperm(len(ids), generator=generator).to(probs.device)
    return order[sure[order]]


class Exemplars:
    """A class-balanced memory of images with labels.

    Args:
        budget: images kept over all classes.

    Attributes:
        images: uint8 [M, 3, S, S].
        labels: int64 [M], columns.
        ids: int64 [M], stream-wide ids.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.images = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
        self.labels = torch.empty(0, dtype=torch.int64)
        self.ids = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the pixels and their labels."""
        return self.images.numel() + 8 * len(self)

    def add(self, images: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Takes a task's labelled images in, then drops what the budget has no room for.

        Args:
            images: uint8 [n, 3, S, S].
            labels: int64 [n], columns.
            ids: int64 [n]; an id already kept is not taken twice.
        """
        new = ~torch.isin(ids, self.ids)
        images, labels, ids = images[new], labels[new], ids[new]
        if len(self):
            images = torch.cat([self.images, images])
            labels = torch.cat([self.labels, labels])
            ids = torch.cat([self.ids, ids])
        quota = balanced_quota(torch.bincount(labels), self.budget)
        order = torch.argsort(labels, stable=True)
        counts = torch.bincount(labels)
        rank = (
            torch.arange(len(labels), device=labels.device)
            - (counts.cumsum(0) - counts)[labels[order]]
        )
        kept = order[rank < quota[labels[order]]].sort().values
        self.images, self.labels, self.ids = images[kept], labels[kept], ids[kept]

    def state(self) -> dict[str, Tensor]:
        """All rows, for a checkpoint."""
        return {"images": self.images, "labels": self.labels, "ids": self.ids}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes the rows of :meth:`state` back."""
        self.images, self.labels, self.ids = state["images"], state["labels"], state["ids"]

"""Images of earlier tasks that may be looked at again.

Invariants: never more images than the budget; classes within one of each other, as far as each has
images; no image twice; the same stream gives the same choice. Each class keeps its images in the
order that :mod:`contsemi.memory.selection` gives, labelled ones first, so that pseudo-labelled ones
only fill what they leave free.

Where the stream's images can be read again, an exemplar is its id, and nothing but the ids kept is
ever read of an earlier task; else its pixels are copied. Either way the pixels count as memory.
"""

import torch
from torch import Tensor

from contsemi.stores.resident import Resident
from contsemi.stores.store import ImageStore, image_bytes


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


def best_of_each(labels: Tensor, best_first: Tensor, budget: int) -> Tensor:
    """What the classes keep of a budget: each its best rows.

    Args:
        labels: int64 [n], columns.
        best_first: int64 [n], all row numbers, the best first.
        budget: rows over all classes.

    Returns:
        int64 [k], k <= n, row numbers, ascending.
    """
    counts = torch.bincount(labels)
    quota = balanced_quota(counts, budget)
    by_class = best_first[labels[best_first].argsort(stable=True)]
    place = torch.arange(len(labels), device=labels.device)
    rank = place - (counts.cumsum(0) - counts)[labels[by_class]]
    return by_class[rank < quota[labels[by_class]]].sort().values


def sure_rows(
    probs: Tensor,
    ids: Tensor,
    *,
    threshold: float,
    columns: Tensor,
    taken: Tensor,
    generator: torch.Generator,
    fit: Tensor | None = None,
) -> Tensor:
    """Rows that may be kept with their prediction as label, in random order.

    Args:
        probs: [n, C] predicted probabilities.
        ids: int64 [n].
        threshold: least probability of the predicted class.
        columns: int64, classes that may be predicted.
        taken: int64, ids that are not wanted: their label is known.
        generator: draws the order; on the CPU.
        fit: bool [n], rows that may be kept at all; ``None`` for all.

    Returns:
        int64 [k], k <= n, row numbers.
    """
    confidence, column = probs.max(1)
    sure = (confidence >= threshold) & torch.isin(column, columns) & ~torch.isin(ids, taken)
    sure = sure if fit is None else sure & fit
    order = torch.randperm(len(ids), generator=generator).to(probs.device)
    return order[sure[order]]


class Exemplars:
    """A class-balanced memory of images with labels.

    Args:
        budget: images kept over all classes.

    Attributes:
        source: the store whose rows the ids are, if it can be read whenever it is asked for;
            ``None``, and pixels are kept. To be set before the first images come.
        labels: int64 [M], columns.
        ids: int64 [M], stream-wide ids.
        order: float64 [M], the least number of a class is kept longest.
        spare: bool [M], images that only fill free places.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.source: ImageStore | None = None
        self._pixels = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
        self.labels = torch.empty(0, dtype=torch.int64)
        self.ids = torch.empty(0, dtype=torch.int64)
        self.order = torch.empty(0, dtype=torch.float64)
        self.spare = torch.empty(0, dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """Pixels uint8 [M, 3, S, S], on the device of the labels."""
        return self.store.all()

    @property
    def store(self) -> ImageStore:
        """The images, read when they are asked for where they are many."""
        return Resident(self._pixels) if self.source is None else self.source.some(self.ids)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the pixels and their labels, wherever the pixels lie."""
        return len(self) * self._bytes_each

    @property
    def _bytes_each(self) -> int:
        return image_bytes(self._pixels if self.source is None else self.source) + 8

    def add(
        self,
        images: Tensor | None,
        labels: Tensor,
        ids: Tensor,
        *,
        order: Tensor | None = None,
        spare: Tensor | None = None,
        limit: int | None = None,
    ) -> None:
        """Takes a task's images in, then drops what the budget has no room for.

        Args:
            images: uint8 [n, 3, S, S]; ``None`` where the source has them.
            labels: int64 [n], columns.
            ids: int64 [n]; an id already kept is not taken twice.
            order: float64 [n], see :func:`contsemi.memory.selection.priorities`; ``None`` for the
                order of arrival.
            spare: bool [n], images that only fill places that others of their class leave;
                ``None`` for none.
            limit: bytes, where they allow fewer images than the budget; ``None`` for no limit.
        """
        new = _first_of_each(ids) & ~torch.isin(ids, self.ids.to(ids.device))
        if order is None:
            start = float(self.order.max()) + 1 if len(self) else 0.0
            order = start + torch.arange(len(ids), dtype=torch.float64, device=ids.device)
        if spare is None:
            spare = torch.zeros_like(ids, dtype=torch.bool)
        if self.source is None:
            assert images is not None
            if not len(self):
                self._pixels = images[:0]
        arrived = {"images": images, "labels": labels, "ids": ids, "order": order, "spare": spare}
        rows = {name: each[new] for name in self.state() if (each := arrived[name]) is not None}
        if len(self):
            rows = {name: torch.cat([old, rows[name]]) for name, old in self.state().items()}
        budget = self.budget
        if limit is not None:
            budget = min(budget, max(limit, 0) // self._bytes_each)
        best_first = rows["order"].argsort(stable=True)
        best_first = best_first[rows["spare"][best_first].argsort(stable=True)]
        kept = best_of_each(rows["labels"], best_first, budget)
        self.load({name: each[kept] for name, each in rows.items()})

    def state(self) -> dict[str, Tensor]:
        """All rows, for a checkpoint; without pixels where these can be read again."""
        pixels = {"images": self._pixels} if self.source is None else {}
        rows = {"labels": self.labels, "ids": self.ids, "order": self.order, "spare": self.spare}
        return pixels | rows

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes the rows of :meth:`state` back."""
        if self.source is None:
            self._pixels = state["images"]
        self.labels, self.ids = state["labels"], state["ids"]
        self.order, self.spare = state["order"], state["spare"]


def _first_of_each(ids: Tensor) -> Tensor:
    """Whether an entry is the first with its id, bool [n]."""
    order = ids.argsort(stable=True)
    first = torch.ones_like(ids, dtype=torch.bool)
    first[order[1:]] = ids[order[1:]] != ids[order[:-1]]
    return first

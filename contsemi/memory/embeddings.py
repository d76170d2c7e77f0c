"""Past images kept as embeddings with soft labels: many more than fit as pixels.

A row is a unit embedding in half precision, a soft label over the classes known when it was
written, its stream-wide id and its task. Rows live in the embedding space of the network that
wrote them; when the network has moved on, :meth:`Embeddings.carry` takes them over by a map fitted
on images that both networks saw, and :meth:`Embeddings.renew` by the new network itself, where the
image is still at hand.

Invariants: never more rows than the budget; classes within one of each other as far as each has
rows; the same stream gives the same rows.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.memory.exemplars import best_of_each
from contsemi.memory.whole_vote import WholeVote
from contsemi.search.index import Index, Kind
from contsemi.types import MemoryRows

__all__ = ["Embeddings"]


class Embeddings:
    """A class-balanced memory of embedding rows.

    Args:
        budget: rows kept over all classes.
        index: how rows are searched; see :class:`contsemi.search.index.Index`.
    """

    def __init__(self, budget: int, index: Kind = "auto") -> None:
        self.budget, self.index = budget, index
        self._view: MemoryRows | None = None
        self._vote: WholeVote | None = None
        self._voted = ""  # how the last view's rows voted
        self.rows = torch.empty(0, 0, dtype=torch.float16)
        self.probs = torch.empty(0, 0, dtype=torch.float16)
        self.ids = torch.empty(0, dtype=torch.int64)
        self.tasks = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows, their soft labels, ids and tasks."""
        return 2 * (self.rows.numel() + self.probs.numel()) + 16 * len(self)

    @property
    def reason(self) -> str:
        """The form of the index in use and why it was chosen; empty while there is no row.

        Where the whole memory voted in the last task, also how.
        """
        if self.view() is None:
            return ""
        found = f"{self._index.kind}: {self._index.reason}"
        voted = (self._vote.reason if self._vote else "") or self._voted
        return f"{found}; {voted}" if voted else found

    def add(
        self, rows: Tensor, probs: Tensor, ids: Tensor, task: int, *, limit: int | None = None
    ) -> None:
        """Takes a task's rows in, then drops what the budget has no room for.

        Each class keeps its most confident rows; a row counts for its most probable class.

        Args:
            rows: [n, D] unit embeddings.
            probs: [n, C] soft labels over all seen columns.
            ids: int64 [n], stream-wide ids.
            task: the task they were written in.
            limit: bytes, where they allow fewer rows than the budget; ``None`` for no limit.
        """
        if not self.budget:
            return
        num_classes = probs.shape[1]
        each = 2 * (rows.shape[1] + num_classes) + 16
        budget = self.budget if limit is None else min(self.budget, limit // each)
        new = [rows.half(), probs.half(), ids, torch.full_like(ids, task)]
        if len(self):
            old_probs = functional.pad(self.probs, (0, num_classes - self.probs.shape[1]))
            old = [self.rows, old_probs, self.ids, self.tasks]
            new = [torch.cat(pair) for pair in zip(old, new, strict=True)]
        confidence, column = new[1].float().max(1)
        # Of equally confident rows the earlier one is better.
        best_first = confidence.argsort(descending=True, stable=True)
        kept = best_of_each(column, best_first, budget)
        self.rows, self.probs, self.ids, self.tasks = (x[kept] for x in new)
        self._view = None

    def carry(self, drift: Callable[[Tensor], Tensor]) -> None:
        """Takes all rows into a new embedding space.

        Args:
            drift: takes unit rows to unit rows, from :class:`contsemi.memory.drift.drift.Drift`.
        """
        if len(self):
            self.rows = drift(self.rows.float()).half()
            self._view = None

    def renew(self, ids: Tensor, rows: Tensor) -> None:
        """Puts fresh embeddings of the same images in the place of stored ones.

        Args:
            ids: int64 [n], no id twice; those not kept here are passed over.
            rows: [n, D] unit embeddings.
        """
        if not len(self) or not len(ids):
            return
        order = ids.argsort()
        place = torch.searchsorted(ids[order], self.ids).clamp_max(len(ids) - 1)
        fresh = order[place]
        kept = (ids[fresh] == self.ids)[:, None]
        self.rows = torch.where(kept, rows[fresh].half(), self.rows)
        self._view = None

    def view(self) -> MemoryRows | None:
        """The rows as a step sees them, in float32; ``None`` while there are none.

        Made once for all steps between two changes of the rows, and with it index and vote.
        """
        if self._view is None and len(self):
            rows, probs = self.rows.float(), self.probs.float()
            self._voted = "" if self._vote is None else self._vote.reason
            self._index, self._vote = Index(rows, self.index), WholeVote(rows, probs)
            self._view = MemoryRows(rows, probs, self.tasks, self._index.search, self._vote)
        return self._view

    def state(self) -> dict[str, Tensor]:
        """All rows, for a checkpoint."""
        return {"rows": self.rows, "probs": self.probs, "ids": self.ids, "tasks": self.tasks}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes the rows of :meth:`state` back."""
        self.rows, self.probs = state["rows"], state["probs"]
        self.ids, self.tasks = state["ids"], state["tasks"]
        self._view = None

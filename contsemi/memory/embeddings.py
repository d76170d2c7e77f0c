"""Past images kept as embeddings with soft labels: many more than fit as pixels.

A row is a unit embedding in half precision, a soft label over the classes known when it was
written, or over its likeliest few, its stream-wide id and its task. Rows live in the embedding
space of the network that wrote them; when the network has moved on, :meth:`Embeddings.carry` takes
them over by a map fitted on images that both networks saw, and :meth:`Embeddings.renew` by the new
network itself, where the image is still at hand.

Invariants: never more rows than the budget; classes within one of each other as far as each has
rows; the same stream gives the same rows.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.memory.exemplars import best_of_each
from contsemi.memory.whole_vote import WholeVote
from contsemi.search.index import Index, Kind
from contsemi.search.shards import Peers
from contsemi.types import MemoryRows, SoftLabels

__all__ = ["Embeddings", "label_bytes"]

_LEAST_ROOM = 1 << 28  # bytes: an index that is smaller is not worth compressing


def label_bytes(kept: int | None, classes: int) -> int:
    """Bytes of a row's soft label: of the classes that are kept, or of all.

    >>> label_bytes(5, 1000), label_bytes(None, 1000)
    (30, 2000)
    """
    return 2 * classes if kept is None else 6 * kept


class Embeddings:
    """A class-balanced memory of embedding rows.

    Args:
        budget: rows kept over all classes.
        index: how rows are searched; see :class:`contsemi.search.index.Index`.
        labels: classes that a soft label keeps; ``None`` for all.
        room: bytes that the index may take beside the rows, 256 MiB at least; ``None`` for as many
            as it takes.
        folder: where an index lies that has no room; ``None`` for nowhere.
        peers: the processes that search together; ``None`` for one alone.
    """

    def __init__(
        self,
        budget: int,
        index: Kind = "auto",
        *,
        labels: int | None = None,
        room: int | None = None,
        folder: Path | None = None,
        peers: Peers | None = None,
    ) -> None:
        self.budget, self.index, self.labels = budget, index, labels
        self._room = None if room is None else max(room, _LEAST_ROOM)
        self._folder, self._peers = folder, peers
        self._view: MemoryRows | None = None
        self._vote: WholeVote | None = None
        self._voted = ""  # how the last view's rows voted
        self.rows = torch.empty(0, 0, dtype=torch.float16)
        self.probs: Tensor | SoftLabels = torch.empty(0, 0, dtype=torch.float16)
        self.ids = torch.empty(0, dtype=torch.int64)
        self.tasks = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows, their soft labels, ids and tasks."""
        return self.rows.nbytes + self.probs.nbytes + 16 * len(self)

    @property
    def index_bytes(self) -> int:
        """Bytes of the index, which is made if it is not there; 0 without rows."""
        return 0 if self.view() is None else self._index.memory_bytes

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
        each = 2 * rows.shape[1] + label_bytes(self.labels, probs.shape[1]) + 16
        budget = self.budget if limit is None else min(self.budget, limit // each)
        new = [rows.half(), ids, torch.full_like(ids, task)]
        labels = self._with_new(probs)
        if len(self):
            old = [self.rows, self.ids, self.tasks]
            new = [torch.cat(pair) for pair in zip(old, new, strict=True)]
        confidence, column = labels.float().max(1) if isinstance(labels, Tensor) else labels.best()
        # Of equally confident rows the earlier one is better.
        best_first = confidence.argsort(descending=True, stable=True)
        kept = best_of_each(column, best_first, budget)
        self.rows, self.ids, self.tasks = (x[kept] for x in new)
        self.probs = labels[kept] if isinstance(labels, Tensor) else labels.rows(kept)
        self._view = None

    def _with_new(self, probs: Tensor) -> Tensor | SoftLabels:
        """The soft labels of the rows that are there, and then new ones [n, C]."""
        if self.labels is not None:
            new = SoftLabels.of(probs, self.labels)
            return self.probs.joined(new) if isinstance(self.probs, SoftLabels) else new
        if not len(self):
            return probs.half()
        assert isinstance(self.probs, Tensor)
        old = functional.pad(self.probs, (0, probs.shape[1] - self.probs.shape[1]))
        return torch.cat([old, probs.half()])

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
        """The rows as a step sees them; ``None`` while there are none.

        Made once for all steps between two changes of the rows, and with it index and vote.
        """
        if self._view is None and len(self):
            rows, probs = self.rows, self.probs
            self._voted = "" if self._vote is None else self._vote.reason
            self._index = Index(
                rows, self.index, budget=self._room, folder=self._folder, peers=self._peers
            )
            self._vote = WholeVote(rows, probs)
            self._view = MemoryRows(rows, probs, self.tasks, self._index.search, self._vote)
        return self._view

    def state(self) -> dict[str, Tensor]:
        """All rows, for a checkpoint."""
        rows = {"rows": self.rows, "ids": self.ids, "tasks": self.tasks}
        if isinstance(self.probs, Tensor):
            return rows | {"probs": self.probs}
        few = {"probs": self.probs.values, "columns": self.probs.columns}
        return rows | few | {"classes": torch.tensor(self.probs.classes)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes the rows of :meth:`state` back."""
        self.rows, self.probs = state["rows"], state["probs"]
        if "columns" in state:
            classes = int(state["classes"])
            self.probs = SoftLabels(state["probs"], state["columns"], classes)
        self.ids, self.tasks = state["ids"], state["tasks"]
        self._view = None

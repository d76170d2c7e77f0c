"""Past images kept as embeddings with soft labels: many more than fit as pixels.

A row is a unit embedding in half precision, or in codes of a few bytes, a soft label over the
classes known when it was written, or over its likeliest few, its stream-wide id and its task. Rows
live in the embedding space of the network that wrote them; when the network has moved on,
:meth:`Embeddings.carry` takes them over by a map fitted on images that both networks saw, and
:meth:`Embeddings.renew` by the new network itself, where the image is still at hand. Rows in codes
are decoded for that, and come into codes anew with those of the task: nothing is exact of them.

Invariants: never more rows than the budget; classes within one of each other as far as each has
rows; the same stream gives the same rows.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.memory.codes import CodedIndex, Codes, coded_bytes
from contsemi.memory.exemplars import best_of_each
from contsemi.memory.whole_vote import WholeVote
from contsemi.search.index import Index, Kind
from contsemi.search.shards import Peers
from contsemi.types import MemoryRows, SoftLabels

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
        code_bytes: with ``pq`` a row is kept in codes of so many bytes at most, and searched in
            them; ``None`` for rows in half precision.
    """

    def __init__(
        self,
        budget: int,
        index: Kind = "auto",
        *,
        code_bytes: int | None = None,
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
        self._code_bytes = code_bytes if index == "pq" else None
        self._loose = torch.empty(0, 0, dtype=torch.float16)  # rows that are in no codes
        self._codes: Codes | None = None
        self.probs: Tensor | SoftLabels = torch.empty(0, 0, dtype=torch.float16)
        self.ids = torch.empty(0, dtype=torch.int64)
        self.tasks = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> Tensor:
        """Float16 [M, D], as they are stored; made of the codes where there are such."""
        return self._loose if self._codes is None else self._codes.all().half()

    @rows.setter
    def rows(self, rows: Tensor) -> None:
        self._loose, self._codes = rows, None

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows, with what decodes them, their soft labels, ids and tasks."""
        rows: Tensor | Codes = self._loose if self._codes is None else self._codes
        return rows.nbytes + self.probs.nbytes + self.ids.nbytes + self.tasks.nbytes

    @property
    def index_bytes(self) -> int:
        """Bytes of the index, which is made if it is not there; 0 without rows.

        Codes are searched where they lie. Where the whole memory votes, it does so as it is
        decoded, and that counts here.
        """
        if self.view() is None:
            return 0
        decoded = self._vote is not None and self._codes is not None
        return self._index.memory_bytes + decoded * 2 * len(self) * self.width

    @property
    def width(self) -> int:
        """D, numbers of a row."""
        return self._loose.shape[1] if self._codes is None else self._codes.width

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
        budget = self.budget
        if limit is not None:
            shared, each = self.bytes_of(rows.shape[1], probs.shape[1])
            budget = min(budget, max(0, limit - shared) // each)
        new = [rows.half(), ids, torch.full_like(ids, task)]
        labels = self._with_new(probs)
        if len(self):
            old = [self.rows, self.ids.to(ids), self.tasks.to(ids)]
            new = [torch.cat(pair) for pair in zip(old, new, strict=True)]
        confidence, column = labels.float().max(1) if isinstance(labels, Tensor) else labels.best()
        # Of equally confident rows the earlier one is better.
        best_first = confidence.argsort(descending=True, stable=True)
        kept = best_of_each(column, best_first, budget)
        self.rows, self.ids, self.tasks = (x[kept] for x in new)
        self.probs = labels[kept] if isinstance(labels, Tensor) else labels.rows(kept)
        self._view = None
        self._pack()

    def bytes_of(self, width: int, classes: int) -> tuple[int, int]:
        """Bytes of what all rows share, and of each of them with its label, id and task.

        Args:
            width: D.
            classes: C.
        """
        label = label_bytes(self.labels, classes)
        if self._code_bytes is None:
            return 0, 2 * width + label + 16
        shared, each = coded_bytes(width, self._code_bytes)
        return shared, each + label + 6

    def _pack(self) -> None:
        """Puts rows into codes, and ids and tasks into as few bytes as they take."""
        if self._code_bytes is None or not len(self):
            return
        self._codes = Codes.of(self._loose, self._code_bytes)
        self._loose = self._loose[:0]
        if int(self.ids.max()) <= torch.iinfo(torch.int32).max:
            self.ids = self.ids.int()
        self.tasks = self.tasks.short()

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
        own = self.ids.to(ids)
        place = torch.searchsorted(ids[order], own).clamp_max(len(ids) - 1)
        fresh = order[place]
        kept = (ids[fresh] == own)[:, None]
        self.rows = torch.where(kept, rows[fresh].half(), self.rows)
        self._view = None

    def view(self) -> MemoryRows | None:
        """The rows as a step sees them; ``None`` while there are none.

        Made once for all steps between two changes of the rows, and with it index and vote.
        """
        if self._view is None and len(self):
            self._voted = "" if self._vote is None else self._vote.reason
            self._vote = None
            rows: Tensor | Codes = self._loose if self._codes is None else self._codes
            self._index: Index | CodedIndex
            if isinstance(rows, Codes):
                self._index = CodedIndex(rows)
            else:
                self._index = Index(
                    rows, self.index, budget=self._room, folder=self._folder, peers=self._peers
                )
            search = self._index.search
            self._view = MemoryRows(rows, self.probs, self.tasks.long(), search, self._whole)
        return self._view

    def _whole(self, queries: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The vote of all rows, which is made when it is first asked for."""
        if self._vote is None:
            self._vote = WholeVote(self.rows, self.probs)
        return self._vote(queries, temperature)

    def state(self) -> dict[str, Tensor]:
        """All rows, for a checkpoint."""
        rows = {"rows": self._loose, "ids": self.ids, "tasks": self.tasks}
        if self._codes is not None:
            codes = {"codes": self._codes.packed, "centroids": self._codes.centroids}
            rows |= codes | {"width": torch.tensor(self._codes.width)}
        if isinstance(self.probs, Tensor):
            return rows | {"probs": self.probs}
        few = {"probs": self.probs.values, "columns": self.probs.columns}
        return rows | few | {"classes": torch.tensor(self.probs.classes)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes the rows of :meth:`state` back."""
        self.rows, self.probs = state["rows"], state["probs"]
        if "codes" in state:
            self._codes = Codes(state["codes"], state["centroids"], int(state["width"]))
        if "columns" in state:
            classes = int(state["classes"])
            self.probs = SoftLabels(state["probs"], state["columns"], classes)
        self.ids, self.tasks = state["ids"], state["tasks"]
        self._view = None

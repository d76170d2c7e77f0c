"""Rows that a method stores from step to step and compares with; what all kinds of stores share.

One array on the training device serves the dense product and the search. Pointers are tensors too,
so neither writing nor searching ever waits for the device. Everything is in buffers: a checkpoint
carries it, and a restored bank goes on bit for bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contsemi.blocks.block import Block
from contsemi.types import Experience


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest rows of each of N queries, best first.

    Attributes:
        scores: [N, k] inner products; -inf where there was no further row.
        index: int64 [N, k] row numbers; 0 where there was no further row.
        found: bool [N, k], where there was one.
    """

    scores: Tensor
    index: Tensor
    found: Tensor


class Bank(Block):
    """Rows with columns beside them (labels, ids, tasks, soft labels: whatever is pushed).

    Memory is allocated at the first :meth:`push`, whose columns fix which there are. Integer
    columns hold -1 and float columns 0 where nothing was written. Where a row goes, a subclass
    says: :class:`~.fifo.Fifo`, :class:`~.by_id.ById`, :class:`~.rings.Rings`.

    Args:
        slots: rows there is room for.
        pointers: numbers of rows ever written, of which the places are made.
        current_only: whether every task begins with an empty bank.
    """

    pointer: Tensor

    def __init__(self, slots: int, pointers: int, *, current_only: bool) -> None:
        super().__init__()
        self.slots, self.current_only = slots, current_only
        self.register_buffer("pointer", torch.zeros(pointers, dtype=torch.int64))

    def begin(self, experience: Experience) -> None:
        """Empties what is to be; rows of earlier tasks that stay wait for new ones."""
        if self.current_only:
            self.clear()

    @property
    def allocated(self) -> bool:
        """Whether anything was ever pushed."""
        return hasattr(self, "store_rows")

    @property
    def memory_bytes(self) -> int:
        """Bytes of the filled rows and their columns, where these outlive a task."""
        if self.current_only or not self.allocated:
            return 0
        each = sum(x[0].nbytes for name, x in self._stores() if name != "store_filled")
        return each * int(self.filled.sum())

    @property
    def rows(self) -> Tensor:
        """[M, D], M = ``slots``; a view. Rows that are not ``filled`` are zero."""
        return self["rows"]

    @property
    def filled(self) -> Tensor:
        """Bool [M]: which rows hold something."""
        return self["filled"]

    def __getitem__(self, column: str) -> Tensor:
        """A column [M, ...]; a view, without the last row, which takes what is thrown away."""
        return self._store(column)[:-1]

    def _make_room(self, slots: int) -> None:
        """Adds rows on the right; never takes any away."""
        if slots > self.slots:
            more, self.slots = slots - self.slots, slots
            for name, old in self._stores():
                new = old.new_full((more, *old.shape[1:]), _empty(old.dtype))
                setattr(self, name, torch.cat([old[:-1], new, old[-1:]]))

    def clear(self) -> None:
        """Forgets every row."""
        self.pointer.zero_()
        for _, store in self._stores():
            store.fill_(_empty(store.dtype))

    @torch.no_grad()
    def push(self, rows: Tensor, **columns: Tensor) -> None:
        """Writes rows in their order, the last one last; any number of them.

        Args:
            rows: [N, D]; no gradient is kept.
            columns: name -> [N, ...], the same names each time. Where a row is written twice, the
                later one stays.

        Raises:
            ValueError: the columns are not those of the first push.
        """
        filled = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        written = {"rows": rows, "filled": filled, **columns}
        if not self.allocated:
            self._allocate(
                {name: (value.shape[1:], value.dtype) for name, value in written.items()}
            )
        if {f"store_{name}" for name in written} != {name for name, _ in self._stores()}:
            raise ValueError(f"the columns {sorted(columns)} are not those of the first push")
        place, self.pointer = self._places(len(rows), columns)
        for name, value in written.items():
            store = self._store(name)
            value = value.to(store, non_blocking=True)
            store[place] = self._blended(value, place) if name == "rows" else value
            store[-1] = _empty(store.dtype)

    def _places(self, number: int, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Int64 [N]: the row that each is written to, and the pointer after that.

        ``slots`` is the place of those that are dropped; every other one is there once at most.
        """
        raise NotImplementedError

    def _blended(self, rows: Tensor, place: Tensor) -> Tensor:
        """What is written in place of new rows."""
        return rows

    def _last_of_each(self, place: Tensor) -> Tensor:
        """The same places; those outside are dropped, and all rows of a place but the last."""
        place = torch.where((place >= 0) & (place < self.slots), place, self.slots)
        return last_of_each(place, self.slots)

    def scores(self, queries: Tensor) -> Tensor:
        """Inner products [N, M] of queries [N, D] and all rows; -inf for rows not filled."""
        return (queries.to(self.rows.dtype) @ self.rows.T).masked_fill(~self.filled, -torch.inf)

    @torch.no_grad()
    def search(self, queries: Tensor, k: int, allow: Tensor | None = None) -> Neighbours:
        """The nearest rows by inner product, exactly.

        Args:
            queries: [N, D].
            k: how many; at most M are returned.
            allow: bool [M] or [N, M], which rows may be found; ``None`` for all. See
                :meth:`equal`.
        """
        scores = self.scores(queries)
        if allow is not None:
            scores = scores.masked_fill(~allow, -torch.inf)
        best = scores.topk(min(k, scores.shape[1]), dim=1)
        found = best.values > -torch.inf
        return Neighbours(best.values, best.indices * found, found)

    def equal(self, column: str, values: Tensor) -> Tensor:
        """Bool [N, M]: in which rows an integer column has each of the values [N]."""
        return self[column] == values.to(self[column])[:, None]

    @torch.no_grad()
    def shifted(self, queries: Tensor, k: int, allow: Tensor | None = None) -> Tensor:
        """The mean [N, D] of the k nearest rows allowed, or of fewer; the query if there is none.

        Means of unit rows are shorter than 1.
        """
        return self.mean(self.search(queries, k, allow), queries)

    @torch.no_grad()
    def mean(self, neighbours: Neighbours, otherwise: Tensor) -> Tensor:
        """The mean [N, D] of the rows found, and the row of ``otherwise`` [N, D] if none was."""
        number = neighbours.found.sum(1, keepdim=True)
        weights = neighbours.found.to(self.rows) / number.clamp(min=1)
        mean = (weights[:, :, None] * self.rows[neighbours.index]).sum(1)
        return torch.where(number > 0, mean, otherwise.to(mean))

    def _store(self, column: str) -> Tensor:
        store: Tensor = getattr(self, f"store_{column}")
        return store

    def _stores(self) -> list[tuple[str, Tensor]]:
        return [(name, b) for name, b in self.named_buffers() if name.startswith("store_")]

    def _allocate(self, columns: Mapping[str, tuple[torch.Size, torch.dtype]]) -> None:
        device = self.pointer.device
        for name, (shape, dtype) in columns.items():
            store = torch.full((self.slots + 1, *shape), _empty(dtype), dtype=dtype, device=device)
            self.register_buffer(f"store_{name}", store)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Allocates what the state holds before it is copied in."""
        saved = {
            key.removeprefix(prefix): value
            for key, value in state_dict.items()
            if key.startswith(prefix)
        }
        for name, _ in self._stores():
            delattr(self, name)
        for name, value in saved.items():
            self.register_buffer(name, torch.empty_like(value, device=self.pointer.device))
        if "store_rows" in saved:
            self.slots = len(saved["store_rows"]) - 1
        super()._load_from_state_dict(state_dict, prefix, *rest)


def last_of_each(place: Tensor, dropped: int) -> Tensor:
    """The same places int64 [N], but of all rows of one only the last; the others are dropped.

    Args:
        place: from 0 to ``dropped``.
        dropped: the place of what is thrown away.
    """
    order = torch.arange(len(place), device=place.device)
    last = torch.full((dropped + 1,), -1, device=place.device)
    last = last.scatter_reduce(0, place, order, "amax")
    return torch.where(last[place] == order, place, dropped)


def _empty(dtype: torch.dtype) -> int:
    """What an unwritten entry holds: -1 for integers, 0 for floats, False."""
    return 0 if dtype.is_floating_point or dtype == torch.bool else -1

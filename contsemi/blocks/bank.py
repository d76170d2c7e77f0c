"""Rows that a method stores from step to step and compares with: a queue, or a table by id.

One array on the training device serves the dense product and the search. Pointers are tensors too,
so neither writing nor searching ever waits for the device. Everything is in buffers: a checkpoint
carries it, and a restored bank goes on bit for bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.blocks.block import Block
from contsemi.types import Experience

__all__ = ["Bank", "Neighbours"]

GOLDEN = 0.6180339887498949  # the fractions of its multiples spread evenly over [0, 1)


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
    columns hold -1 and float columns 0 where nothing was written.

    Args:
        capacity: rows of a ``fifo``, rows of each class of ``rings``; ``by_id`` takes it as the
            number of ids at the start.
        policy: ``fifo`` overwrites the oldest rows; ``by_id`` keeps row i for the id i of the
            column ``ids``; ``rings`` is a fifo for each class of the column ``labels``, so that a
            class that no longer comes is not pushed out.
        momentum: of ``by_id``: the share of the old row that a new one keeps, before it returns to
            unit length; 0 replaces it.
        current_only: whether every task begins with an empty bank.

    Attributes:
        slots: rows there is room for; see :meth:`grow`.
    """

    pointer: Tensor

    def __init__(
        self,
        capacity: int,
        policy: Literal["fifo", "by_id", "rings"] = "fifo",
        *,
        momentum: float = 0.0,
        current_only: bool = False,
    ) -> None:
        super().__init__()
        self.capacity, self.policy, self.momentum = capacity, policy, momentum
        self.current_only = current_only
        self.slots = 0 if policy == "rings" else capacity
        # Rows ever written: one number, or one for each ring.
        self.register_buffer("pointer", torch.zeros(int(policy != "rings"), dtype=torch.int64))

    def begin(self, experience: Experience) -> None:
        """Makes room for a task's images (``by_id``) or classes (``rings``); empties what is to be.

        Rows of earlier tasks that stay wait for new ones to take their place.
        """
        if self.policy == "by_id":
            ids = torch.cat([experience.labelled, experience.unlabelled])
            self.grow(int(ids.max()) + 1 if len(ids) else 0)
        elif self.policy == "rings":
            self.grow(experience.num_seen)
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

    def grow(self, size: int) -> None:
        """Makes room for ``size`` ids (``by_id``) or classes (``rings``); never shrinks."""
        ring = self.policy == "rings"
        slots = size * self.capacity if ring else size
        if slots <= self.slots:
            return
        more, self.slots = slots - self.slots, slots
        if ring:
            self.pointer = functional.pad(self.pointer, (0, size - len(self.pointer)))
        for name, old in list(self._stores()):
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
            columns: name -> [N, ...], the same names each time. ``by_id`` needs ``ids``, and
                ``rings`` needs ``labels``; rows outside of the room there is are dropped. Where a
                row is written twice, the later one stays.

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
        place = self._places(len(rows), columns)
        for name, value in written.items():
            store = self._store(name)
            value = value.to(store, non_blocking=True)
            if name == "rows" and self.momentum:
                value = self._moved(value, place)
            store[place] = value
            store[-1] = _empty(store.dtype)

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
        weights = neighbours.found / number.clamp(min=1)
        mean = (weights.to(self.rows)[:, :, None] * self.rows[neighbours.index]).sum(1)
        return torch.where(number > 0, mean, otherwise.to(mean))

    @torch.no_grad()
    def weights(self, neighbours: Neighbours) -> Tensor:
        """[N, M]: 1 at the rows found, 0 elsewhere; the targets of a contrast."""
        nowhere = torch.zeros(len(neighbours.index), self.slots, device=self.rows.device)
        return nowhere.scatter_add(1, neighbours.index, neighbours.found.float())

    @torch.no_grad()
    def members(self, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Rows of the ring of each query's class (``rings``).

        Nothing is drawn: a query's place picks the rows, spread over the ring, which is as good as
        a draw for queries that come in random order.

        Args:
            labels: int64 [N], classes; negative for none.
            k: rows for each; the same one may come twice.

        Returns:
            [N, k, D] rows, and bool [N] whether the class has any; else its rows are zero.
        """
        known = labels.clamp(min=0)
        held = self.pointer[known].clamp(max=self.capacity)
        at = torch.arange(1, 1 + labels.numel() * k, device=labels.device) * GOLDEN % 1
        place = (at.view(-1, k) * held[:, None]).long() + (known * self.capacity)[:, None]
        found = (labels >= 0) & (held > 0)
        return self.rows[place] * found[:, None, None], found

    @torch.no_grad()
    def of_ids(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The rows [N, D] of ids int64 [N] (``by_id``), zero and False [N] for ids without one."""
        place = torch.where((ids >= 0) & (ids < self.slots), ids, self.slots)
        return self._store("rows")[place], self._store("filled")[place]

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

    def _places(self, number: int, columns: Mapping[str, Tensor]) -> Tensor:
        """Int64 [N]: the row that each is written to; ``slots`` for one that is dropped."""
        device = self.pointer.device
        order = torch.arange(number, device=device)
        if self.policy == "fifo":
            place = (self.pointer + order) % self.slots
            self.pointer += number
            return torch.where(order < number - self.slots, self.slots, place)
        if self.policy == "by_id":
            place = columns["ids"].to(device)
        else:
            labels = columns["labels"].to(device)
            mine = labels[:, None] == torch.arange(len(self.pointer), device=device)
            rank = ((mine.cumsum(0) - 1 + self.pointer) * mine).sum(1)
            self.pointer += mine.sum(0)
            place = torch.where(mine.any(1), labels * self.capacity + rank % self.capacity, -1)
        place = torch.where((place >= 0) & (place < self.slots), place, self.slots)
        last = torch.full((self.slots + 1,), -1, device=device)
        last = last.scatter_reduce(0, place, order, "amax")
        return torch.where(last[place] == order, place, self.slots)

    def _moved(self, rows: Tensor, place: Tensor) -> Tensor:
        old, known = self._store("rows")[place], self._store("filled")[place]
        moved = functional.normalize(self.momentum * old + (1 - self.momentum) * rows, dim=1)
        return torch.where(known[:, None], moved, rows)

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


def _empty(dtype: torch.dtype) -> int:
    """What an unwritten entry holds: -1 for integers, 0 for floats, False."""
    return 0 if dtype.is_floating_point or dtype == torch.bool else -1

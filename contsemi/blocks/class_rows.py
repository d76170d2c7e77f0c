"""Rows of a slow network stored by class, and the direction of each class they make."""

import torch
from torch import Tensor

from contsemi.assign.class_sums import class_directions
from contsemi.blocks.bank import last_of_each
from contsemi.blocks.rings import in_rings
from contsemi.blocks.sized import Sized
from contsemi.types import Experience, Pool


class ClassRows(Sized):
    """A ring of rows for each class, so that a class that no longer comes is not pushed out.

    What :meth:`hold` is given enters once the optimiser has stepped: a batch never meets itself.

    Rings begin a task with the labelled images of its pool, as the slow network then sees them; so
    no class waits for its first step.

    Args:
        head: of the slow network, whose outputs are stored.
        capacity: rows of each class; with ``one_queue`` rows in all.
        one_queue: whether all classes share one queue, first in, first out, as in the paper; old
            classes are then pushed out within ``capacity`` rows.
        drop_overflow: whether rows that do not fit before the end of that queue are thrown away,
            and the next ones go to its beginning, as in the released code.
        noise: width of the normal noise, of random classes, that the queue begins with, as in the
            released code; 0 for an empty queue.

    Attributes:
        rows: [M, D], as long as they came.
        labels: int64 [M], -1 where nothing is stored.

    Source: Sariyildiz et al. 2023, section 3.2 (t-ReX*).
    """

    rows: Tensor
    labels: Tensor
    written: Tensor

    def __init__(
        self,
        head: str,
        capacity: int,
        *,
        one_queue: bool = False,
        drop_overflow: bool = False,
        noise: int = 0,
    ) -> None:
        super().__init__()
        self.noise = noise
        self.head, self.capacity = head, capacity
        self.one_queue, self.drop_overflow = one_queue, drop_overflow
        self.refresh_every = None if one_queue else "task"
        self.register_buffer("rows", torch.empty(0, 0))
        self.register_buffer("labels", torch.empty(0, dtype=torch.int64))
        self.register_buffer("written", torch.zeros(int(one_queue), dtype=torch.int64))
        self.num_classes = 0
        self._next: tuple[Tensor, Tensor] | None = None

    def begin(self, experience: Experience) -> None:
        """New classes begin with empty rings."""
        self.num_classes = experience.num_seen
        if not self.one_queue:
            new = self.written.new_zeros(self.num_classes - len(self.written))
            self.written = torch.cat([self.written, new])
        if self.rows.shape[1]:
            self._make_room(self.rows.shape[1])
        elif self.noise:
            draw = torch.Generator().manual_seed(0)
            rows = torch.randn(self.capacity, self.noise, generator=draw)
            labels = torch.randint(self.num_classes, (self.capacity,), generator=draw)
            self.rows, self.labels = rows.to(self.rows), labels.to(self.labels)

    def refresh(self, pool: Pool) -> None:
        """The labelled images of the task's pool enter."""
        known = (pool.labels >= 0).nonzero()[:, 0]
        if len(known):
            rows = pool.outputs("teacher", self.head)[self.head]
            self.hold(rows[known], pool.labels[known])
            self.after_step()

    def directions(self) -> tuple[Tensor, Tensor]:
        """[C, D] unit directions, zero for a class without a row, and bool [C] which have one."""
        return class_directions(self.rows, self.labels, self.num_classes)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows that are stored, and of their labels."""
        each = self.rows[0].nbytes + self.labels[0].nbytes if len(self.labels) else 0
        return each * int((self.labels >= 0).sum())

    def hold(self, rows: Tensor, labels: Tensor) -> None:
        """Rows [N, D] of classes int64 [N] that are to enter after this step."""
        self._next = rows.detach().float() if rows.dtype != torch.float64 else rows.detach(), labels

    @torch.no_grad()
    def after_step(self) -> None:
        """What is held enters in its order, the last row last."""
        if self._next is None:
            return
        (rows, labels), self._next = self._next, None
        if not self.rows.shape[1]:
            self.rows = self.rows.to(rows)
            self._make_room(rows.shape[1])
        place = self._queue(len(rows)) if self.one_queue else self._rings(labels)
        # one row behind the last takes what is dropped
        room = torch.cat([self.rows, self.rows.new_zeros(1, self.rows.shape[1])])
        kinds = torch.cat([self.labels, self.labels.new_full((1,), -1)])
        place = last_of_each(place, len(self.labels))
        self.rows = room.index_copy(0, place, rows.to(room))[:-1]
        self.labels = kinds.index_copy(0, place, labels)[:-1]

    def _make_room(self, width: int) -> None:
        size = self.capacity * (1 if self.one_queue else self.num_classes)
        more = size - len(self.labels)
        rows = self.rows if self.rows.shape[1] else self.rows.new_zeros(0, width)
        self.rows = torch.cat([rows, rows.new_zeros(more, width)])
        labels = self.labels.to(rows.device)
        self.labels = torch.cat([labels, labels.new_full((more,), -1)])

    def _queue(self, number: int) -> Tensor:
        place = self.written + torch.arange(number, device=self.written.device)
        if not self.drop_overflow:
            self.written = (self.written + number) % self.capacity
            return place % self.capacity
        after = self.written + number
        self.written = torch.where(after >= self.capacity, 0, after)
        return place.clamp(max=self.capacity)

    def _rings(self, labels: Tensor) -> Tensor:
        place, self.written = in_rings(labels, self.written, self.capacity)
        return torch.where(place < 0, len(self.labels), place)

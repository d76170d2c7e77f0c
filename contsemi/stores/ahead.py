"""Images that are read one step ahead by threads, into pinned memory where a GPU takes them.

Which rows a step draws is a pure function of counters, so the next step's are known while this one
is computed. A read that was expected and one that was not give the same bits.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from contsemi.stores.store import Cut, ImageStore
from contsemi.stores.threads import Threads

PIECE = 8  # images that a thread reads at a time
MOST_COMING = (
    4  # reads at a time that nobody has asked for yet: a step has up to three kinds of rows
)
MOST_SENT = 4  # copies to a device at a time


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is read at once.

    Attributes:
        ids: int64 [n] on the CPU.
        cuts: what to cut from the images; ``None`` for their squares.
    """

    ids: Tensor
    cuts: tuple[Cut, ...] | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for two that ask for the same."""
        boxes = [(cut.size, cut.boxes.numpy().tobytes()) for cut in self.cuts or ()]
        return (self.ids.numpy().tobytes(), self.cuts is None, *boxes)

    def shapes(self, channels: int, side: int) -> list[tuple[int, ...]]:
        """Shapes of what is returned: [n, C, S, S], or for each cut [V, n, 3, s, s]."""
        if self.cuts is None:
            return [(len(self.ids), channels, side, side)]
        return [(*cut.boxes.shape[:2], 3, cut.size, cut.size) for cut in self.cuts]


@dataclass(slots=True, eq=False)
class _Read:
    """A read in progress."""

    rooms: list[Tensor]
    pieces: list["Future[None]"] = field(default_factory=list)

    def finished(self) -> list[Tensor]:
        """What was read; raises what a thread has raised."""
        for piece in self.pieces:
            piece.result()
        return self.rooms

    def drop(self) -> None:
        """Nobody wants it any more: pieces that have not begun never will."""
        for piece in self.pieces:
            piece.cancel()


class Buffers:
    """Memory that a device copies from by itself, used again when it has done so.

    Args:
        make: gives uint8 memory of so many bytes.
        mark: gives an event that is over when the device has done all that it was told so far.
    """

    def __init__(
        self,
        make: Callable[[int], Tensor] | None = None,
        mark: Callable[[], Any] | None = None,
    ) -> None:
        self._make, self._mark = make or _pinned, mark or _marked
        self._free: list[Tensor] = []
        self._sent: deque[tuple[Any, list[Tensor]]] = deque()

    def room(self, shape: Sequence[int]) -> Tensor:
        """Uint8 memory of a shape, whose content is arbitrary."""
        while self._sent and (len(self._sent) >= MOST_SENT or self._sent[0][0].query()):
            event, buffers = self._sent.popleft()
            event.synchronize()
            self._free += buffers
        count = torch.Size(shape).numel()
        fitting = [place for place, each in enumerate(self._free) if each.numel() >= count]
        buffer = self._free.pop(fitting[0]) if fitting else self._make(count)
        return buffer[:count].view(*shape)

    def sent(self, rooms: Sequence[Tensor]) -> None:
        """The device has been told to copy these."""
        self._sent.append((self._mark(), self._whole(rooms)))

    def back(self, rooms: Sequence[Tensor]) -> None:
        """These are not wanted any more."""
        self._free += self._whole(rooms)

    def _whole(self, rooms: Sequence[Tensor]) -> list[Tensor]:
        return [room._base if room._base is not None else room for room in rooms]


class Ahead(ImageStore):
    """A store whose rows are read by threads.

    Args:
        device: where images are wanted.
        side: S in pixels.
        threads: that read.
    """

    ahead = True

    def __init__(self, device: torch.device, side: int, threads: Threads) -> None:
        self.device, self.side, self.threads = device, side, threads
        self._coming: dict[tuple[object, ...], _Read] = {}
        self._buffers = Buffers() if device.type == "cuda" else None

    @abstractmethod
    def read(self, asked: Asked, rows: range, rooms: Sequence[Tensor]) -> None:
        """Reads some of what is asked for; called by threads.

        Args:
            asked: all of it.
            rows: places in ``asked.ids``.
            rooms: of the shapes of ``asked.shapes``, to be filled at the rows.
        """

    def take(self, ids: Tensor) -> Tensor:
        """Some of the images."""
        return self._given(self._asked(ids, None))[0]

    def cut(self, ids: Tensor, cuts: Sequence[Cut]) -> list[Tensor]:
        """Crops of the images as they are."""
        return [each.flatten(0, 1) for each in self._given(self._asked(ids, cuts))]

    def expect(self, ids: Tensor, cuts: Sequence[Cut] | None = None) -> None:
        """Begins to read what will soon be taken, or cut."""
        asked = self._asked(ids, cuts)
        if asked.key in self._coming or not len(ids):
            return
        while len(self._coming) >= MOST_COMING:
            self._forget(self._coming.pop(next(iter(self._coming))))
        self._coming[asked.key] = self._begun(asked)

    def _asked(self, ids: Tensor, cuts: Sequence[Cut] | None) -> Asked:
        ids = ids.cpu()
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(self):
            raise IndexError(f"rows {int(ids.min())} to {int(ids.max())} of {len(self)} images")
        return Asked(ids, None if cuts is None else tuple(cuts))

    def _begun(self, asked: Asked) -> _Read:
        rooms = [self._room(shape) for shape in asked.shapes(self.channels, self.side)]
        read = _Read(rooms)
        for start in range(0, len(asked.ids), PIECE):
            rows = range(start, min(start + PIECE, len(asked.ids)))
            read.pieces.append(self.threads.do(partial(self.read, asked, rows, rooms)))
        return read

    def _given(self, asked: Asked) -> list[Tensor]:
        read = self._coming.pop(asked.key, None) or self._begun(asked)
        try:
            rooms = read.finished()
        except BaseException:
            self._forget(read)
            raise
        if self._buffers is None:
            return rooms
        found = [room.to(self.device, non_blocking=True) for room in rooms]
        self._buffers.sent(rooms)
        return found

    def _forget(self, read: _Read) -> None:
        read.drop()
        if self._buffers is not None:
            wait(read.pieces)  # a piece that has begun writes into its buffer yet
            self._buffers.back(read.rooms)

    def _room(self, shape: Sequence[int]) -> Tensor:
        if self._buffers is not None:
            return self._buffers.room(shape)
        return torch.empty(*shape, dtype=torch.uint8)


def _pinned(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.uint8, pin_memory=True)


def _marked() -> Any:
    event: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event

"""The store of images in shards: read, decoded and cut when they are asked for, by threads."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contsemi.data.shards.index import Index
from contsemi.data.shards.picture import crop, pixels, square
from contsemi.data.shards.scan import digest_of
from contsemi.data.sources.decode import Unreadable
from contsemi.errors import InputError
from contsemi.stores.ahead import Ahead, Asked
from contsemi.stores.threads import Threads


class Shards(Ahead):
    """Images in shards. The memory that they take is that of the rows asked for.

    Args:
        index: where they lie.
        side: S in pixels, of the squares that :meth:`take` gives.
        originals: whether training views are to be cut from the images as they are.
        device: where they are wanted.
        workers: threads, 0 for one per core.
        threads: of another device's store, to share them; ``None`` for own ones.
    """

    def __init__(
        self,
        index: Index,
        side: int,
        *,
        originals: bool,
        device: torch.device | None = None,
        workers: int = 0,
        threads: Threads | None = None,
    ) -> None:
        number = workers or os.cpu_count() or 1
        super().__init__(device or torch.device("cpu"), side, threads or Threads(number))
        self.index, self.cuts, self.workers = index, originals, workers
        self._others: dict[tuple[torch.device, int], Shards] = {}

    def __len__(self) -> int:
        return len(self.index.rows)

    def on(self, device: torch.device, share: int = 1) -> "Shards":
        """The same images for another device; the threads are shared with it."""
        number = max(1, (self.workers or os.cpu_count() or 1) // share)
        if device == self.device and number == self.threads.number:
            return self
        if (device, number) not in self._others:
            same = number == self.threads.number
            self._others[device, number] = Shards(
                self.index,
                self.side,
                originals=self.cuts,
                device=device,
                workers=number,
                threads=self.threads if same else None,
            )
        return self._others[device, number]

    def sides(self, ids: Tensor) -> Tensor:
        """Height and width of images as they are: int64 [n, 2], on the CPU."""
        rows = self.index.rows[ids.cpu().numpy()]
        return torch.from_numpy(np.stack([rows["height"], rows["width"]], 1).astype(np.int64))

    def read(self, asked: Asked, rows: range, rooms: Sequence[Tensor]) -> None:
        """Decodes images, and cuts what is asked for from each."""
        for row in rows:
            image = self._decoded(int(asked.ids[row]))
            if asked.cuts is None:
                rooms[0][row] = square(image, self.side)
                continue
            for cut, room in zip(asked.cuts, rooms, strict=True):
                for view, boxes in enumerate(cut.boxes[:, row].tolist()):
                    room[view, row] = crop(image, boxes, cut.size)

    def _decoded(self, row: int) -> Tensor:
        """All pixels of an image, uint8 [3, H, W]."""
        where = self.index.rows[row]
        try:
            image = pixels(self._content(where), fast=bool(where["fast"]))
            if image.shape[1:] != (where["height"], where["width"]):
                raise Unreadable("has another size")
        except (OSError, Unreadable) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problem = f"could be read when the shards were indexed, and now cannot ({reason})"
            fix = "bring the shard back as it was; the same command goes on"
            raise InputError(self.index.name(row), problem, fix) from error
        return image

    def _content(self, where: np.void) -> bytes:
        file = os.open(self.index.shards[where["shard"]], os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.pread(file, int(where["length"]), int(where["offset"]))
        finally:
            os.close(file)
        if digest_of(content) != where["digest"]:
            raise Unreadable("its bytes are others")
        return content

"""Images as a memory map that does not fit the device: a thread reads the next step's rows."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contsemi.stores.ahead import Ahead, Asked
from contsemi.stores.threads import Threads


class Mapped(Ahead):
    """An array in the memory of the CPU, or on the disk, whose rows are copied ahead.

    Args:
        images: uint8 [N, 3, S, S], on the CPU.
        device: where rows are wanted.
    """

    def __init__(self, images: Tensor, device: torch.device) -> None:
        super().__init__(device, int(images.shape[-1]), Threads(1))
        self.images, self.channels = images, int(images.shape[1])
        self._pixels = images.numpy()

    def __len__(self) -> int:
        return len(self.images)

    def on(self, device: torch.device, share: int = 1) -> "Mapped":
        """The same array for another device."""
        return self if device == self.device else Mapped(self.images, device)

    def read(self, asked: Asked, rows: range, rooms: Sequence[Tensor]) -> None:
        """Copies rows; NumPy copies in one thread, so that torch's stay with the networks."""
        span = slice(rows.start, rows.stop)
        chosen = asked.ids[span].numpy()
        np.take(self._pixels, chosen, axis=0, out=rooms[0][span].numpy(), mode="clip")

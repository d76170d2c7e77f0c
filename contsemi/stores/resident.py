"""Images as one array in memory: that of the device where there is room, else that of the CPU."""

import torch
from torch import Tensor

from contsemi.stores.store import ImageStore


class Resident(ImageStore):
    """An array, indexed where it lies.

    Args:
        images: uint8 [N, 3, S, S], on any device.
        device: where rows are wanted; ``None`` for where the array lies.
    """

    def __init__(self, images: Tensor, device: torch.device | None = None) -> None:
        self.images = images
        self.device = images.device if device is None else device
        self.channels, self.side = int(images.shape[1]), int(images.shape[-1])

    def __len__(self) -> int:
        return len(self.images)

    def take(self, ids: Tensor) -> Tensor:
        """Some of the images, without waiting for the device."""
        rows = self.images.index_select(0, _sent(ids, self.images.device))
        return _sent(rows, self.device)

    def on(self, device: torch.device, share: int = 1) -> "Resident":
        """The same array for another device."""
        return self if device == self.device else Resident(self.images, device)

    def some(self, ids: Tensor) -> "Resident":
        """Some of the images in an array of their own on the device."""
        return Resident(self.take(ids))

    def all(self) -> Tensor:
        """Every image."""
        return _sent(self.images, self.device)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On a device; on the way home the host waits, as it may read what is not there yet."""
    return tensor.to(device, non_blocking=device.type != "cpu")

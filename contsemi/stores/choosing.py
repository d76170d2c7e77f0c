"""Which form a store has: on the device where there is room for it."""

import os

import torch

from contsemi.stores.mapped import Mapped
from contsemi.stores.resident import Resident
from contsemi.stores.store import Images, ImageStore


def stored(images: Images, device: torch.device, share: int = 1) -> ImageStore:
    """The images for a device.

    An array is brought to a GPU where it leaves three quarters of the free memory; else its rows
    are read ahead, as they are on a CPU where it takes more than half of the memory there is and
    so has to be a memory map.

    Args:
        images: an array, or a store.
        device: where they are wanted.
        share: processes of this machine that read at the same time.
    """
    if isinstance(images, ImageStore):
        return images.on(device, share)
    if images.device == device and device.type == "cuda":
        return Resident(images)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        fits = 4 * images.nbytes < free
        return Resident(images.to(device)) if fits else Mapped(images, device)
    return Mapped(images, device) if 2 * images.nbytes > _memory() else Resident(images, device)


def plain(images: Images, device: torch.device) -> ImageStore:
    """The images to be read now and then: an array stays where it is."""
    return images.on(device) if isinstance(images, ImageStore) else Resident(images)


class Stores:
    """Makes a store of images once, as long as they are the same.

    Args:
        device: where they are wanted.
        share: processes of this machine that read at the same time.
    """

    def __init__(self, device: torch.device, share: int = 1) -> None:
        self.device, self.share = device, share
        self._last: tuple[Images, ImageStore] | None = None

    def __call__(self, images: Images) -> ImageStore:
        """Their store."""
        if self._last is None or self._last[0] is not images:
            self._last = images, stored(images, self.device, self.share)
        return self._last[1]


def _memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 1 << 62

"""The contract of an image store: rows in, uint8 images on the device out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Crops of one kind of views, to be cut from images as they are, not from squares of one side.

    Attributes:
        boxes: int64 [V, n, 4], top, left, height and width in pixels of each of n images.
        size: side s of the views in pixels, to which crops are resized.
    """

    boxes: Tensor
    size: int


class ImageStore(ABC):
    """Images of one side S, by row, on a device.

    The same rows are the same bits in every form, in any order, however often they are asked for.

    Attributes:
        device: where :meth:`take` puts images.
        side: S in pixels.
        channels: 3, or 4 with masks.
        ahead: whether rows that are expected are read while the device computes.
        cuts: whether views can be cut from images as they are.
    """

    device: torch.device
    side: int
    channels: int = 3
    ahead: bool = False
    cuts: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """N, images in all."""

    @abstractmethod
    def take(self, ids: Tensor) -> Tensor:
        """Some of the images.

        Args:
            ids: int64 [n], rows, on any device; in any order, any of them more than once.

        Returns:
            uint8 [n, 3, S, S] on the device.

        Raises:
            IndexError: there is no such row.
        """

    @abstractmethod
    def on(self, device: torch.device, share: int = 1) -> "ImageStore":
        """The same images for another device.

        Args:
            device: where they are wanted.
            share: processes of this machine that read at the same time.
        """

    def some(self, ids: Tensor) -> "ImageStore":
        """A store of some of the rows int64 [n]: its row i is row ``ids[i]`` of this one."""
        return Some(self, ids)

    def all(self) -> Tensor:
        """Every image, uint8 [N, 3, S, S]; for few ones."""
        return self.take(torch.arange(len(self)))

    def expect(self, ids: Tensor, cuts: Sequence[Cut] | None = None) -> None:  # noqa: B027
        """Says what will soon be taken, or cut; a store that reads nothing ahead does nothing.

        A hint: to take something else, or to expect nothing, changes no bit.
        """

    def cut(self, ids: Tensor, cuts: Sequence[Cut]) -> list[Tensor]:
        """Crops of the images as they are, each image read once for all of them.

        Args:
            ids: int64 [n], rows, on any device.
            cuts: what to cut.

        Returns:
            For each cut uint8 [V * n, 3, s, s] on the device, view-major.
        """
        raise NotImplementedError

    def sides(self, ids: Tensor) -> Tensor:
        """Height and width of images as they are: int64 [n, 2], on the CPU."""
        return torch.full((len(ids), 2), self.side)


class Some(ImageStore):
    """Some of the rows of a store, which are read when they are asked for.

    Args:
        whole: the store.
        ids: int64 [n], its rows; may repeat.
    """

    def __init__(self, whole: ImageStore, ids: Tensor) -> None:
        self.whole, self.ids = whole, ids.cpu()
        self.device, self.side, self.channels = whole.device, whole.side, whole.channels
        self.ahead, self.cuts = whole.ahead, whole.cuts

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, ids: Tensor) -> Tensor:
        """Some of the images."""
        return self.whole.take(self.rows(ids))

    def on(self, device: torch.device, share: int = 1) -> ImageStore:
        """The same images for another device."""
        return Some(self.whole.on(device, share), self.ids)

    def some(self, ids: Tensor) -> ImageStore:
        """Some of these."""
        return Some(self.whole, self.rows(ids))

    def expect(self, ids: Tensor, cuts: Sequence[Cut] | None = None) -> None:
        """Says what will soon be taken, or cut."""
        self.whole.expect(self.rows(ids), cuts)

    def cut(self, ids: Tensor, cuts: Sequence[Cut]) -> list[Tensor]:
        """Crops of the images as they are."""
        return self.whole.cut(self.rows(ids), cuts)

    def sides(self, ids: Tensor) -> Tensor:
        """Height and width of images as they are."""
        return self.whole.sides(self.rows(ids))

    def rows(self, ids: Tensor) -> Tensor:
        """Rows of the whole store int64 [n]."""
        return self.ids.index_select(0, ids.cpu())


Images = Tensor | ImageStore  # an array uint8 [N, 3, S, S], or what stands for one


def array_of(images: Images) -> Tensor:
    """Images that are known to be an array."""
    if isinstance(images, ImageStore):
        raise TypeError(f"expected an array of images, got {type(images).__name__}")
    return images


def image_bytes(images: Images) -> int:
    """Bytes of one image."""
    if isinstance(images, ImageStore):
        return images.channels * images.side**2
    return images.shape[1:].numel()


def side_of(images: Images) -> int:
    """S, the side of images in pixels."""
    return images.side if isinstance(images, ImageStore) else int(images.shape[-1])

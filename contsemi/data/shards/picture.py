"""Encoded images -> pixels, and crops of them, as the threads of a store make them.

JPEG goes through torchvision's decoder, which leaves other threads alone; all else, and what that
decoder sees otherwise, through the rules of :mod:`contsemi.data.sources.decode`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.data.sources.decode import Unreadable, header, whole

JPEG = b"\xff\xd8\xff"


def looked_at(content: bytes) -> tuple[int, int, bool]:
    """Height and width of an image, and whether the fast decoder gives it; it is decoded once.

    Raises:
        Unreadable: no decoder can make an image of it.
    """
    height, width, full = header(content)
    if full and content.startswith(JPEG):
        try:
            if pixels(content, fast=True).shape[1:] == (height, width):
                return height, width, True
        except Unreadable:
            pass
    found = pixels(content, fast=False)
    return int(found.shape[1]), int(found.shape[2]), False


def pixels(content: bytes, *, fast: bool) -> Tensor:
    """All pixels of an image as it is, uint8 [3, H, W], turned as its EXIF orientation says.

    Args:
        content: the encoded image.
        fast: of :func:`looked_at`.

    Raises:
        Unreadable: it does not decode.
    """
    if not fast:
        return torch.from_numpy(whole(content))
    from torchvision.io import ImageReadMode, decode_jpeg  # a second: only where shards are

    try:
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        found: Tensor = decode_jpeg(encoded, ImageReadMode.RGB, apply_exif_orientation=True)
    except RuntimeError as error:
        reason = " ".join(str(error).splitlines()[0].split())[:80]
        raise Unreadable(f"damaged ({reason})") from error
    return found


def crop(image: Tensor, box: tuple[int, int, int, int], size: int) -> Tensor:
    """A rectangle of an image, resized with antialiasing.

    Args:
        image: uint8 [3, H, W].
        box: top, left, height and width.
        size: side of the result.

    Returns:
        uint8 [3, size, size].
    """
    top, left, height, width = box
    part = image[:, top : top + height, left : left + width]
    if (height, width) == (size, size):
        return part
    return functional.interpolate(
        part[None], size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )[0]


def square(image: Tensor, size: int) -> Tensor:
    """The largest centred square, resized: uint8 [3, size, size]."""
    height, width = image.shape[1:]
    side = min(height, width)
    return crop(image, ((height - side) // 2, (width - side) // 2, side, side), size)

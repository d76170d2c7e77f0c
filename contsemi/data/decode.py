"""One image file -> uint8 [3, S, S], by one rule for every source.

The content decides the format, not the name. The EXIF orientation is applied; 16-bit grey is
scaled by 1/257, never clipped; transparency is composited on white; CMYK and the like are
converted to RGB; of an animation the first frame is taken. The largest centred square is resized
to the wanted side with Pillow's antialiased bilinear filter (which is resizing the short side and
cropping the centre, without the detour over a huge array for extreme aspect ratios).

This module is imported by every decoding process: Pillow and NumPy only.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["FORMATS", "Unreadable", "decode", "resize"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")
MAX_PIXELS = 100_000_000
GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")

Pixels = NDArray[np.uint8]


class Unreadable(Exception):
    """The file is no image that can be used; the message says why."""


def decode(file: Path | bytes, size: int | None) -> Pixels:
    """Pixels of one image.

    Args:
        file: path of the file, or its bytes.
        size: side S in pixels; ``None`` keeps the image's own, which must be square.

    Returns:
        uint8 [3, S, S].

    Raises:
        Unreadable: not one of :data:`FORMATS`, damaged, or larger than 100 megapixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's notes on odd metadata and large images
            source = io.BytesIO(file) if isinstance(file, bytes) else file
            with Image.open(source, formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise Unreadable(f"{width}x{height} pixels are more than 100 million")
                return _square(to_rgb(ImageOps.exif_transpose(image)), size)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("more than 100 million pixels") from error
    except (Exception, MemoryError) as error:  # decoders of damaged files raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"damaged ({reason[:80]})") from error


def resize(images: Pixels, size: int | None) -> Pixels:
    """Resizes decoded images [N, 3, s, s] by the same rule to [N, 3, S, S]."""
    if size is None or images.shape[-1] == size:
        return images
    result = np.empty((len(images), 3, size, size), np.uint8)
    for row, image in enumerate(images):
        result[row] = _square(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))), size)
    return result


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in mode RGB."""
    if image.mode in GREY16:
        return _from_16_bits(np.asarray(image)).convert("RGB")
    if image.mode == "F":
        raise Unreadable("floating-point pixels have no fixed range")
    if image.mode in TRANSPARENT or "transparency" in image.info:
        background = Image.new("RGBA", image.size, "white")
        background.alpha_composite(image.convert("RGBA"))
        return background.convert("RGB")
    return image.convert("RGB")


def _from_16_bits(grey: NDArray[np.generic]) -> Image.Image:
    values = grey.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable("32-bit pixels beyond 65535")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _square(image: Image.Image, size: int | None) -> Pixels:
    width, height = image.size
    if size is None and width != height:
        raise Unreadable(f"{width}x{height} pixels are not square: set data.size")
    side = min(width, height)
    if size is not None and (width, height) != (size, size):
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image).transpose(2, 0, 1)

"""One image file -> uint8 [3, S, S], by one rule for every source.

The content decides the format, not the name. The EXIF orientation is applied; 16-bit grey is
scaled by 1/257, never clipped, whichever end is white; transparency is composited on white; CMYK
and the like are converted to RGB; a file of several frames or pages is refused, but not the
previews that cameras put behind a JPEG. The largest centred square is resized to the wanted side
with Pillow's antialiased bilinear filter (which is resizing the short side and cropping the centre,
without the detour over a huge array for extreme aspect ratios); a JPEG is decoded at a half, a
quarter or an eighth of its size where that is still twice the wanted side.

Strangers' files cost at most some 150 MB: what the header says is looked at before a pixel is
decoded, a JPEG of a large camera is decoded at a half, a quarter or an eighth of its size (as
libjpeg does it cheaply), and transparency is composited in bands.

This module is imported by every decoding process: Pillow and NumPy only.
"""

import io
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from contsemi.storage.host import refuse_too_much

ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp"}
ENDINGS |= {"PPM": "ppm", "TIFF": "tif"}
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")
EMPTY = "has no bytes"
MAX_PIXELS = 100_000_000
LARGEST = 2**26  # bytes of a decoded image
LEAST = 2  # times the wanted side that a JPEG is decoded to at least, where it is that large
BAND = 2**20  # pixels that are composited at a time
GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # the tag of EXIF, and its turns by a quarter
PHOTOMETRIC, WHITE_IS_0 = 262, 0  # a tag of TIFF
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")

Decoded = NDArray[np.uint8]
_T = TypeVar("_T")


class _Quiet:
    """No warnings inside, Pillow's of odd metadata; unlike ``catch_warnings`` in any threads."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._held = warnings.catch_warnings()
                self._held.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._held.__exit__(None, None, None)


_QUIET = _Quiet()


class Unreadable(Exception):
    """The file is no image that can be used; the message says why."""


def decode(file: Path | bytes, size: int | None) -> Decoded:
    """Pixels of one image.

    Args:
        file: path of the file, or its bytes.
        size: side S in pixels; ``None`` keeps the image's own, which must be square.

    Returns:
        uint8 [3, S, S].

    Raises:
        Unreadable: not one of :data:`FORMATS`, damaged, too large, or of several frames.
    """

    def take(image: Image.Image, _: tuple[int, int]) -> Decoded:
        if size is not None and image.format in ("JPEG", "MPO"):
            # libjpeg halves what is far larger than wanted, at a third of the time.
            image.draft(None, (LEAST * size, LEAST * size))
        return _square(_fixed(_upright(image)), size)

    return _opened(file, take)


def whole(file: Path | bytes) -> Decoded:
    """All pixels of one image as it is, uint8 [3, H, W]; raises as :func:`decode`."""

    def take(image: Image.Image, _: tuple[int, int]) -> Decoded:
        return np.asarray(to_rgb(_upright(image))).transpose(2, 0, 1).copy()

    return _opened(file, take)


def header(file: Path | bytes) -> tuple[int, int, bool]:
    """Height and width of one image as :func:`whole` has it, and whether that is its full size.

    Raises:
        Unreadable: as :func:`decode`, as far as the header tells.
    """

    def look(image: Image.Image, full: tuple[int, int]) -> tuple[int, int, bool]:
        width, height = image.size
        if image.getexif().get(ORIENTATION, 1) in SIDEWAYS:
            width, height = height, width
        return height, width, image.size == full

    return _opened(file, look)


def format_of(content: bytes) -> str:
    """The usual ending of a file name for an encoded image, without the dot: ``jpg``, ``png``, ...

    Raises:
        Unreadable: as :func:`decode`, as far as the header tells.
    """
    return _opened(content, lambda image, _: ENDINGS[str(image.format)])


def _upright(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _opened(file: Path | bytes, take: Callable[[Image.Image, tuple[int, int]], _T]) -> _T:
    """What is taken from an image and its full size; all errors become one kind."""
    if file == b"":
        raise Unreadable(EMPTY)
    try:
        source = io.BytesIO(file) if isinstance(file, bytes) else file
        with _QUIET, Image.open(source, formats=FORMATS) as image:
            full = image.size
            _refuse_unfit(image)
            return take(image, full)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("more than 100 million pixels") from error
    except (Exception, MemoryError) as error:  # decoders of damaged files raise anything
        if isinstance(error, OSError) and error.errno:  # not the decoder's, but the system's
            raise Unreadable(f"cannot be read ({error.strerror})") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"damaged ({reason[:80]})") from error


def brought_to(first: Path | bytes, size: int) -> str:
    """What is to be said of sizes, by the first image; empty where it has the size already."""
    found = side_lengths(first)
    if found is None or found == (size, size):
        return ""
    width, height = found
    return f"images are brought to one size, the first {width}x{height} -> {size}x{size}"


def side_lengths(file: Path | bytes) -> tuple[int, int] | None:
    """Width and height in pixels, as the header has them; ``None`` for what cannot be read."""
    try:
        source = io.BytesIO(file) if isinstance(file, bytes) else file
        with _QUIET, Image.open(source, formats=FORMATS) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def resize(images: Decoded, size: int | None) -> Decoded:
    """Resizes decoded images [N, 3, h, w] by the same rule to [N, 3, S, S]."""
    if size is None or images.shape[-2:] == (size, size):
        return images
    asked = len(images) * 3 * size * size
    refuse_too_much(asked, f"data.size={size}", f"{len(images)} images of that side", "lower it")
    result = np.empty((len(images), 3, size, size), np.uint8)
    for row, image in enumerate(images):
        result[row] = _square(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))), size)
    return result


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in mode RGB."""
    return _fixed(image).convert("RGB")


def _refuse_unfit(image: Image.Image) -> None:
    """Judges an image by its header; a large JPEG is set to be decoded smaller."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unreadable(f"{width}x{height} pixels are more than 100 million")
    if _bytes(image) > LARGEST and image.format in ("JPEG", "MPO"):
        if image.info.get("progressive"):  # whose coefficients have to lie in memory
            raise Unreadable(f"{width}x{height} pixels are too many for a progressive JPEG")
        for part in (2, 4, 8):
            if _bytes(image) > LARGEST:
                image.draft(None, (width // part, height // part))
    if _bytes(image) > LARGEST:
        most = LARGEST // _bytes_per_pixel(image)
        raise Unreadable(f"{width}x{height} pixels of mode {image.mode} are more than {most}")
    if image.format not in ("JPEG", "MPO"):
        try:
            image.seek(1)  # the number of frames would cost a walk through all of them
        except EOFError:
            return
        raise Unreadable("several frames: save the one that is meant")


def _fixed(image: Image.Image) -> Image.Image:
    """``image`` in mode L or RGB by the fixed rules."""
    if image.mode in GREY16:
        values = np.asarray(image)
        # Pillow turns those of 8 bits round, and not these.
        turned = image.mode != "I" and getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_0
        return _from_16_bits(65535 - values if turned else values)
    if image.mode == "F":
        raise Unreadable("floating-point pixels have no fixed range")
    if image.mode in TRANSPARENT or "transparency" in image.info:
        return _on_white(image)
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    width, height = image.size
    result = Image.new("RGB", image.size)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height))).convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        white.alpha_composite(band)
        result.paste(white.convert("RGB"), (0, top))
    return result


def _bytes_per_pixel(image: Image.Image) -> int:
    """What Pillow keeps of a pixel, at its widest on the way to RGB."""
    plain = image.mode in ("1", "L") and "transparency" not in image.info
    return 1 if plain else 4


def _bytes(image: Image.Image) -> int:
    return image.width * image.height * _bytes_per_pixel(image)


def _from_16_bits(grey: NDArray[np.generic]) -> Image.Image:
    values = grey.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable("32-bit pixels beyond 65535")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _square(image: Image.Image, size: int | None) -> Decoded:
    width, height = image.size
    if size is None and width != height:
        raise Unreadable(f"{width}x{height} pixels are not square: set data.size")
    side = min(width, height)
    if size is not None and (width, height) != (size, size):
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)

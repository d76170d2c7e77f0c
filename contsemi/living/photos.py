"""Photos from a file, a folder, arrays or a list of names: a few at a time."""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from contsemi.data.sources.decode import Unreadable, decode, resize
from contsemi.data.sources.listing import JUNK, SUFFIXES, looks_like_image, shown
from contsemi.errors import InputError

CHUNK = 128
_BYTES = 1 << 26  # of the pixels of a chunk: of large photos there are fewer in one
_LONGEST = 1 << 16  # of a name; paths have at most 4,096 bytes
_NAMED = {*SUFFIXES, ".heic", ".heif", ".avif"}  # of phones: each has its reason, not no line


class Photos(NamedTuple):
    """Some photos.

    Attributes:
        listed: of each its name, and why it could not be read; empty if it was.
        images: uint8 [n, 3, S, S] of those that were read, in the same order.
    """

    listed: list[tuple[str, str]]
    images: NDArray[np.uint8]


def refuse_no_folder(photos: Path) -> None:
    """Refuses what is no folder, by the name that was given.

    Raises:
        InputError: it is none.
    """
    if not os.path.isdir(photos):  # noqa: PTH112 (pathlib's raises where the way there is barred)
        problem = "is no folder" if os.path.lexists(photos) else "no such folder"
        raise InputError(shown(photos), problem, "name a folder of photos")


def found(given: str, stream: TextIO | None = None) -> Iterator[Path]:
    """The files that a word of the command line stands for, one by one.

    Args:
        given: a file, a folder (all images in it and below it, by name, also those that are only
            by their beginning; linked files are read, linked folders are not), or ``-`` for names
            that are read line by line.
        stream: where those come from; ``None`` for the standard input.

    Raises:
        InputError: there is no such file or folder, or no photo in it.
    """
    if given == "-":
        return _names(stream or sys.stdin)
    path = Path(given).expanduser()
    if path.is_dir():
        below = _below(path)
        if first := next(below, None):
            return chain([first], below)
        raise InputError(shown(given), "holds no photo", f"it reads {', '.join(sorted(SUFFIXES))}")
    if path.is_file():
        return iter([path])
    raise InputError(shown(given), "is no file and no folder", "name photos, or - for a list")


def _names(stream: TextIO) -> Iterator[Path]:
    while line := stream.readline(_LONGEST):
        if len(line) == _LONGEST:
            problem = f"a line has {_LONGEST} characters or more"
            raise InputError("the standard input", problem, "write the name of one photo a line")
        if name := line.rstrip("\r\n"):
            yield Path(name)


def _below(folder: Path) -> Iterator[Path]:
    # By their names alone: a hundred thousand paths would be many times as large.
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError(shown(folder), problem, "mend its rights, or leave it out") from None
    for name in names:
        path = folder / name
        if name.startswith(".") or name.lower() in JUNK:
            continue
        if path.is_dir():
            if not path.is_symlink():  # which may lead round in a circle
                yield from _below(path)
        elif path.suffix.lower() in _NAMED or (path.is_file() and looks_like_image(path)):
            yield path


def in_chunks(paths: Iterable[Path], side: int) -> Iterator[Photos]:
    """Photos decoded to [n, 3, side, side]: side by side, and one chunk ahead of who takes them.

    Args:
        paths: of the photos.
        side: in pixels.
    """
    rest = iter(paths)
    ahead: deque[tuple[list[Path], Iterator[NDArray[np.uint8] | str]]] = deque()
    pool, number = ThreadPoolExecutor(len(os.sched_getaffinity(0))), _chunk(side)
    try:
        while True:
            if chunk := list(islice(rest, number)):
                ahead.append((chunk, pool.map(partial(_decoded, side=side), chunk)))
            elif not ahead:
                return
            if not chunk or len(ahead) > 1:
                yield _together(*ahead.popleft(), side)
    finally:
        pool.shutdown(cancel_futures=True)


def _chunk(side: int) -> int:
    return max(1, min(CHUNK, _BYTES // (3 * side**2)))


def _decoded(path: Path, side: int) -> NDArray[np.uint8] | str:
    """Pixels, or why there are none."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        return "not a regular file"  # a pipe would be waited for
    try:
        return decode(path, side)
    except Unreadable as error:
        return str(error)


def _together(paths: list[Path], found: Iterator[NDArray[np.uint8] | str], side: int) -> Photos:
    listed: list[tuple[str, str]] = []
    images = np.zeros((len(paths), 3, side, side), np.uint8)
    number = 0
    for path, pixels in zip(paths, found, strict=True):
        if isinstance(pixels, str):
            listed.append((shown(path), pixels))
        else:
            listed.append((shown(path), ""))
            images[number] = pixels
            number += 1
    return Photos(listed, images[:number])


def _as_array(given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError:  # images of several sizes
        return np.array([None])


def arrays(given: Any, side: int) -> Iterator[NDArray[np.uint8]]:
    """Chunks uint8 [n, 3, side, side] of paths or of an array.

    Args:
        given: names of files, one or several; or uint8 [N, 3, S, S] or [N, S, S, 3].
        side: S wanted.

    Raises:
        InputError: it is something else, or a photo cannot be read.
    """
    if isinstance(given, str | Path):
        given = [given]
    if isinstance(given, Sequence) and all(isinstance(each, str | Path) for each in given):
        for photos in in_chunks(map(Path, given), side):
            for name, problem in photos.listed:
                if problem:
                    raise InputError(name, problem, "leave it out")
            yield photos.images
        return
    images = _as_array(given)
    if images.dtype.kind in "OU" and all(isinstance(each, str | Path) for each in images.flat):
        yield from arrays(list(images.flat), side)
        return
    if images.ndim == 4 and images.shape[1] != 3 and images.shape[3] == 3:
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3:
        problem = f"expected paths or uint8 [N, 3, S, S], got {images.dtype} {list(images.shape)}"
        raise InputError("images", problem, "bring them into this form")
    number = _chunk(side)
    for start in range(0, len(images), number):
        yield resize(np.ascontiguousarray(images[start : start + number]), side)

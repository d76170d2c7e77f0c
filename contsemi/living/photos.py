"""Photos from a file, a folder, arrays or a list of names: a few at a time."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from contsemi.data.sources.decode import Unreadable, decode, resize
from contsemi.data.sources.listing import JUNK, SUFFIXES, shown
from contsemi.errors import InputError

__all__ = ["Photos", "arrays", "found", "in_chunks"]

CHUNK = 128


class Photos(NamedTuple):
    """Some photos.

    Attributes:
        names: of each.
        images: uint8 [n, 3, S, S].
        problems: name and what is wrong, of those that could not be read.
    """

    names: list[str]
    images: NDArray[np.uint8]
    problems: list[tuple[str, str]]


def found(given: str, stream: TextIO | None = None) -> Iterator[Path]:
    """The files that a word of the command line stands for, one by one.

    Args:
        given: a file, a folder (all images in it and below it, by name), or ``-`` for names that
            are read line by line.
        stream: where those come from; ``None`` for the standard input.

    Raises:
        InputError: there is no such file or folder.
    """
    if given == "-":
        for line in stream or sys.stdin:
            if name := line.rstrip("\n"):
                yield Path(name)
        return
    path = Path(given).expanduser()
    if path.is_dir():
        yield from _below(path)
    elif path.is_file():
        yield path
    else:
        raise InputError(shown(given), "no such file or folder", "name photos, or - for a list")


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in JUNK or path.is_symlink():
            continue
        if path.is_dir():
            yield from _below(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def in_chunks(paths: Iterable[Path], side: int) -> Iterator[Photos]:
    """Photos decoded to [n, 3, side, side], never more than a chunk of them in memory."""
    names: list[str] = []
    pixels: list[NDArray[np.uint8]] = []
    problems: list[tuple[str, str]] = []

    def chunk() -> Photos:
        images = np.stack(pixels) if pixels else np.zeros((0, 3, side, side), np.uint8)
        return Photos(list(names), images, list(problems))

    for path in paths:
        try:
            pixels.append(decode(path, side))
            names.append(shown(path))
        except Unreadable as error:
            problems.append((shown(path), str(error)))
        if len(names) + len(problems) == CHUNK:
            yield chunk()
            names, pixels, problems = [], [], []
    if names or problems:
        yield chunk()


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
            for name, problem in photos.problems[:1]:
                raise InputError(name, problem, "leave it out")
            yield photos.images
        return
    images = np.asarray(given)
    if images.dtype == object or images.dtype.kind in "US":
        yield from arrays([str(each) for each in images.ravel()], side)
        return
    if images.ndim == 4 and images.shape[1] != 3 and images.shape[3] == 3:
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3:
        problem = f"expected paths or uint8 [N, 3, S, S], got {images.dtype} {list(images.shape)}"
        raise InputError("images", problem, "bring them into this form")
    for start in range(0, len(images), CHUNK):
        yield resize(np.ascontiguousarray(images[start : start + CHUNK]), side)

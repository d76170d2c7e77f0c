"""Decoded arrays on disk, opened by memory map in milliseconds.

An entry is a folder: ``images.npy``, ``rows.npy`` (a digest of each image) and ``entry.json``. It
is found by a key made of what it was decoded from (path, size and times of every file) and of how.
It is trusted when its array is the very file that was written: same size, times and inode as
recorded, and a few of its images have their digests; otherwise (copied, restored, changed) its
SHA-256 is computed once and compared. The record has a digest of its own. Whatever
fails is decoded anew. Silent decay of the disk below an unchanged file is not looked for.
"""

import hashlib
import json
import math
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.data.imageset import fingerprint
from contsemi.data.sources.decoding import Failure, Item, decode_into
from contsemi.data.twins import row_digests
from contsemi.errors import StorageFailed
from contsemi.storage.host import gigabytes
from contsemi.storage.readonce import parse_json, read_once

FORMAT = "4"  # of entries and of the decoding rule; another one makes other keys
LEFTOVER_SECONDS = 86_400
LARGEST_RECORD = 2**20  # bytes
LOOKED_AT = 64  # images of an entry that are compared with their digests each time

Fill = Callable[[Path, int], list[Failure]]


@dataclass(frozen=True, slots=True)
class Cached:
    """What an entry holds.

    Attributes:
        images: [N, 3, S, S], a private memory map.
        rows: uint64 [N], a digest of each image.
        digest: that of the image set.
        damaged: the folder of an entry that was there, was not whole, and was made anew.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.uint64]
    digest: str
    damaged: str = ""

    @property
    def remarks(self) -> list[str]:
        """What its owner should know."""
        if not self.damaged:
            return []
        return [f"the cached images in {self.damaged} were damaged and have been decoded anew"]


def default_folder() -> Path:
    """The user's cache folder for decoded images."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if given and Path(given).is_absolute():
        return Path(given) / "contsemi"
    local = os.environ.get("LOCALAPPDATA")
    if sys.platform == "win32" and local:
        return Path(local) / "contsemi" / "Cache"
    return Path.home() / ".cache" / "contsemi"


def file_state(state: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does."""
    return (state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def key(*parts: object) -> str:
    """Name of an entry for what it is made of."""
    text = repr((FORMAT, parts)).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]


def cached(
    cache: str | None,
    entry: str,
    targets: NDArray[np.int64],
    size: int,
    fill: Fill,
    channels: int = 3,
) -> Cached | list[Failure]:
    """Opens an entry, or makes it.

    Args:
        cache: folder of the cache; ``None`` for the user's.
        entry: the entry's key.
        targets: int64 [N], class ids of its images; part of the digest.
        size: side of its images in pixels.
        fill: writes all pixels into a file behind an offset; returns what could not be read.
        channels: of an image; 4 where masks go with them.

    Returns:
        The entry, or the failures if there are any (nothing is kept then).

    Raises:
        StorageFailed: the cache cannot be written.
    """
    folder = (Path(cache).expanduser() if cache else default_folder()) / entry
    shape = (len(targets), channels, size, size)
    if (found := _open(folder, shape, targets)) is not None:
        return found
    damaged = str(folder) if folder.exists() else ""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        _refuse_no_room(folder.parent, shape)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder.parent) as temporary:
            draft = Path(temporary) / "entry"
            draft.mkdir()
            offset = _write_header(draft / "images.npy", shape)
            if failures := fill(draft / "images.npy", offset):
                return failures
            _seal(draft, shape, targets)
            _publish(draft, folder)
    except OSError as error:
        problem = f"{folder.parent}: the cache of decoded images cannot be written"
        reason = error.strerror or error
        raise StorageFailed(f"{problem} ({reason}); give data.cache=<folder>") from error
    made = _open(folder, shape, targets)
    if made is None:
        raise StorageFailed(f"{folder}: was damaged while it was written; check the disk")
    return replace(made, damaged=damaged)


def decoded(
    cache: str | None,
    entry: str,
    targets: NDArray[np.int64],
    items: Iterable[Item],
    *,
    size: int,
    num_bytes: int,
    workers: int,
    title: str,
) -> Cached | list[Failure]:
    """The entry of encoded images; see :func:`cached` and :func:`.decoding.decode_into`."""

    def fill(file: Path, offset: int) -> list[Failure]:
        options = {"size": size, "num_bytes": num_bytes, "workers": workers}
        return decode_into(file, offset, items, total=len(targets), title=title, **options)

    return cached(cache, entry, targets, size, fill)


def written(
    cache: str | None,
    entry: str,
    targets: NDArray[np.int64],
    pieces: Iterable[NDArray[np.uint8]],
    *,
    size: int,
    channels: int,
) -> Tensor:
    """The entry of images that are made here: a memory map uint8 [N, channels, size, size].

    Args:
        cache: as :func:`cached` has it.
        entry: the entry's key.
        targets: int64 [N], class ids of its images.
        pieces: the images [n, channels, size, size], one piece after another; not asked for where
            the entry is there.
        size: side of the images in pixels.
        channels: of an image.

    Raises:
        StorageFailed: the cache cannot be written.
    """

    def fill(file: Path, offset: int) -> list[Failure]:
        with file.open("r+b") as stream:
            stream.seek(offset)
            for piece in pieces:
                stream.write(np.ascontiguousarray(piece).data)
        return []

    found = cached(cache, entry, targets, size, fill, channels)
    assert not isinstance(found, list)
    return torch.from_numpy(found.images)


def _refuse_no_room(cache: Path, shape: Sequence[int]) -> None:
    asked, free = math.prod(shape), shutil.disk_usage(cache).free
    if asked > free:
        raise StorageFailed(
            f"data.cache={cache}: {gigabytes(asked)} needed for {shape[0]} decoded images of "
            f"{shape[-1]} x {shape[-1]}, {gigabytes(free)} free; lower data.size, or give a folder "
            "on a larger disk"
        )


def _open(folder: Path, shape: Sequence[int], targets: NDArray[np.int64]) -> Cached | None:
    """The entry if it is whole, else ``None``."""
    file = folder / "images.npy"
    try:
        record = parse_json(read_once(folder / "entry.json", LARGEST_RECORD))
        if not (_plain(file) and _plain(folder / "rows.npy")):
            return None
        images = np.load(file, mmap_mode="c", allow_pickle=False)
        rows = np.load(folder / "rows.npy", allow_pickle=False)
        if images.dtype != np.uint8 or images.shape != tuple(shape):
            return None
        if rows.dtype != np.uint64 or rows.shape != tuple(shape[:1]):
            return None
        if record["seal"] != _seal_of(record) or _digest(rows) != record["rows"]:
            return None
        last = max(len(rows) - 1, 0)
        some = np.unique(np.linspace(0, last, LOOKED_AT).astype(np.int64))[: len(rows)]
        if any(row_digests(images[row : row + 1])[0] != rows[row] for row in some):
            return None
        state = [*file_state(file.stat()), file.stat().st_ino]
        if record["state"] != state:
            if fingerprint(images, targets) != record["digest"]:
                return None
            record["state"] = state
            with suppress(OSError):  # a cache that can only be read is hashed each time
                _write_record(folder, record)
        return Cached(images, rows, str(record["digest"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


def _seal_of(record: Mapping[str, object]) -> str:
    """A digest of the record itself: a changed one is damaged, whatever it says."""
    plain = {name: record[name] for name in ("digest", "rows", "shape", "state")}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _digest(rows: NDArray[np.uint64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()


def _plain(file: Path) -> bool:
    """Whether it is a file, no link and no pipe, which would be read for ever."""
    return stat.S_ISREG(file.lstat().st_mode)


def _write_header(file: Path, shape: Sequence[int]) -> int:
    """Starts a .npy file of uint8; returns the number of bytes before the pixels."""
    with file.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        return stream.tell()


def _seal(draft: Path, shape: Sequence[int], targets: NDArray[np.int64]) -> None:
    """Puts the array on disk and records its digests and state."""
    file = draft / "images.npy"
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())
    images = np.load(file, mmap_mode="c", allow_pickle=False)
    digest = fingerprint(images, targets)
    rows = row_digests(images)
    np.save(draft / "rows.npy", rows, allow_pickle=False)
    state = [*file_state(file.stat()), file.stat().st_ino]
    _write_record(
        draft, {"digest": digest, "rows": _digest(rows), "shape": list(shape), "state": state}
    )


def _write_record(folder: Path, record: dict[str, object]) -> None:
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump({**record, "seal": _seal_of(record)}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    Path(name).replace(folder / "entry.json")


def _publish(draft: Path, folder: Path) -> None:
    """Moves a finished entry to its place, over a damaged one."""
    if folder.exists():
        folder.rename(draft.parent / "damaged")  # leaves with the temporary folder
    try:
        draft.rename(folder)
    except OSError:
        if not (folder / "entry.json").exists():  # else another process was faster: same content
            raise


def _sweep(cache: Path) -> None:
    """Removes what killed processes left behind."""
    for leftover in cache.glob(".tmp-*"):
        try:
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
        except OSError:  # another process removed it
            continue

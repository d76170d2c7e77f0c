"""A file of lines that only grows, of which a checkpoint remembers how far it went."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from contsemi.errors import StateDamaged, StorageFailed
from contsemi.storage.atomic import storage, sync_folder, write_all

_BUFFER = 8192
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a file goes: its length in bytes, and the SHA-256 of them."""

    length: int
    sha256: str

    @staticmethod
    def start() -> "Mark":
        """Of an empty file."""
        return Mark(0, hashlib.sha256().hexdigest())


class Ledger:
    """Writer of one such file; opened when it is first needed.

    Args:
        path: the file; made where it is missing. It is never a link.

    Raises:
        StorageFailed: every method, where the disk is full, read-only or gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._buffer = bytearray()
        self._length, self._hash = 0, hashlib.sha256()

    def write(self, line: bytes) -> None:
        """Append a line, sooner or later."""
        self._opened()
        self._buffer += line
        if len(self._buffer) >= _BUFFER:
            self._write_out()

    def flush(self) -> Mark:
        """Bring everything to the disk and say how far the file goes."""
        descriptor = self._opened()
        self._write_out()
        with storage(self.path):
            os.fsync(descriptor)
        return Mark(self._length, self._hash.hexdigest())

    def lacks(self, mark: Mark) -> str:
        """What is wrong with the file up to a mark; empty if it is as it was then."""
        descriptor = self._opened()
        self._write_out()
        if self._length < mark.length:
            return f"{self.path.name} has {self._length} bytes of {mark.length}"
        found = _hashed(descriptor, mark.length)
        same = found.hexdigest() == mark.sha256
        return "" if same else f"{self.path.name} is not the one that was written"

    def truncate(self, mark: Mark) -> None:
        """Forget what was written after a mark.

        Raises:
            StateDamaged: the file up to there is not as it was then.
        """
        if problem := self.lacks(mark):
            raise StateDamaged(
                f"{self.path}: {problem}; restore the file, or start anew with resume=never"
            )
        descriptor = self._opened()
        with storage(self.path):
            if self._length != mark.length:
                os.ftruncate(descriptor, mark.length)
            self._length, self._hash = mark.length, _hashed(descriptor, mark.length)

    def close(self) -> None:
        """Write what is buffered; the object may be used again."""
        if self._descriptor is None:
            return
        try:
            self._write_out()
        finally:
            os.close(self._descriptor)
            self._descriptor, self._buffer = None, bytearray()

    def _write_out(self) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        if not buffer:
            return
        with storage(self.path, len(buffer)):
            write_all(self._opened(), buffer)
        self._length += len(buffer)
        self._hash.update(buffer)

    def _opened(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with storage(self.path):
            descriptor = os.open(self.path, flags, 0o666)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                os.close(descriptor)
                raise StorageFailed(f"{self.path}: is not a regular file; remove it")
            if not status.st_size:  # it may be new: its name must be on the disk before it counts
                sync_folder(self.path.parent)
            self._descriptor, self._length = descriptor, status.st_size
            self._hash = _hashed(descriptor, self._length)
        return descriptor


def _hashed(descriptor: int, length: int) -> "hashlib._Hash":
    """The running hash of the first bytes of a file."""
    found, start = hashlib.sha256(), 0
    while start < length:
        part = os.pread(descriptor, min(_CHUNK, length - start), start)
        if not part:
            break
        found.update(part)
        start += len(part)
    return found

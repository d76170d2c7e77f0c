"""A folder's lock, in a file that names its owner: it also proves whose folder it is."""

import errno
import os
import re
import socket
import stat
import time
from pathlib import Path

from filelock import FileLock, Timeout

from contsemi.storage.readonce import read_once

__all__ = ["FolderLock", "InUse"]

_LINE = re.compile(rb"process \d+ on \S+ since \d{4}-\d\d-\d\d ")
_LINE_BYTES = 400
_ONCE_MORE = 0.1
_LOOKS = 4  # for the name of its owner


class InUse(Exception):
    """Another process holds the lock; the text says which."""


class FolderLock:
    """The lock of a folder; the system takes it back when its owner ends, however it ends.

    Args:
        path: of the file.
        patience: seconds to wait for a lock that another process holds.
    """

    def __init__(self, path: Path, patience: float = 0) -> None:
        self.path = path
        self._file: os.stat_result | None = None
        self._lock = FileLock(
            path,
            # A file that its owner removes just now is not locked: the next one is.
            timeout=max(patience, _ONCE_MORE),
            thread_local=False,
            fallback_to_soft=False,
            on_acquired=self._acquired,
        )

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
            InUse: another process has it.
            OSError: the file cannot be written, or is a link or a pipe.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise InUse(self._said_owner()) from None

    def release(self) -> None:
        """Gives it back; may be called twice."""
        self._file = None
        self._lock.release(force=True)

    @property
    def held(self) -> bool:
        """Whether this object has it."""
        return self._file is not None

    @property
    def gone(self) -> bool:
        """Whether the file that was locked is no longer there."""
        try:
            return self._file is not None and not os.path.samestat(self._file, self.path.stat())
        except OSError:
            return True

    @property
    def owned(self) -> bool:
        """Whether the file names an owner, present or past: then the folder is one of ours."""
        return _LINE.match(self._content() or b"") is not None

    @property
    def empty(self) -> bool:
        """Whether it is a file that waits for its first owner to say its name."""
        return self._content() == b""

    def _content(self) -> bytes | None:
        try:
            return read_once(self.path, _LINE_BYTES)
        except OSError:
            return None

    def _acquired(self, descriptor: int) -> None:
        self._file = os.fstat(descriptor)
        if not stat.S_ISREG(self._file.st_mode):
            raise OSError(errno.EINVAL, f"its {self.path.name} is not a regular file")
        line = _owner().encode()
        # Never empty meanwhile: whoever looks at it must see whose folder this is.
        os.pwrite(descriptor, line, 0)
        os.ftruncate(descriptor, len(line))
        os.fsync(descriptor)

    def _said_owner(self) -> str:
        """Who holds the lock; one that took it just now may not have said its name yet.

        Until then the name of the one before stands there, whose process is gone.
        """
        owner = ""
        for _ in range(_LOOKS):
            time.sleep(0.2)
            owner = self.path.read_bytes()[:200].decode(errors="replace").strip()
            match owner.split():
                case ["process", number, "on", host, *_] if number.isdigit():
                    if host != socket.gethostname() or _alive(int(number)):
                        break
        return owner


def _owner() -> str:
    """Who holds the lock, for whoever finds it held."""
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} since {began}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True

"""A folder's lock, in a file that names its owner: it also proves whose folder it is."""

import errno
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from contsemi.storage.heartbeat import Heartbeat, is_shared, is_silent
from contsemi.storage.readonce import read_once

_LINE = re.compile(rb"process \d+ on \S+ since \d{4}-\d\d-\d\d ")
_LINE_BYTES = 400
_ONCE_MORE = 0.1
_LOOKS = 4  # for the name of its owner
_ENDED = b" until its end"
_SETTLED = 2.0  # seconds after which a name that was written at the same time stands there
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class InUse(Exception):
    """Another process holds the lock; the text says which."""


class FolderLock:
    """The lock of a folder; the system takes it back when its owner ends, however it ends.

    Where the system cannot (see :mod:`contsemi.storage.heartbeat`), it is free as soon as its owner
    gives no sign of life: a killed one keeps it for some seconds.

    Args:
        path: of the file.
        patience: seconds to wait for a lock that another process holds.
    """

    def __init__(self, path: Path, patience: float = 0) -> None:
        self.path = path
        self._file: os.stat_result | None = None
        self._heartbeat: Heartbeat | None = None
        self._line = b""
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
        except NotImplementedError:
            self._acquire_alone()
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self._acquire_alone()

    def release(self, made: Sequence[Path] | None = None) -> None:
        """Gives it back; may be called twice.

        Args:
            made: folders that were made for it, the innermost first: they go, and the file with
                them, where nothing was written; ``None`` leaves all as it is.
        """
        if made is not None and self.held and not self.gone:
            self._remove(made)
        self._file = None
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None
            with suppress(OSError):
                if self._content() == self._line:
                    self.path.write_bytes(self._line + _ENDED)
        self._lock.release(force=True)

    def _remove(self, made: Sequence[Path]) -> None:
        with suppress(OSError):
            if [each.name for each in self.path.parent.iterdir()] == [self.path.name]:
                self.path.unlink()
                for folder in made:
                    folder.rmdir()

    @property
    def held(self) -> bool:
        """Whether this object has it."""
        return self._file is not None

    @property
    def gone(self) -> bool:
        """Whether the file that was locked is no longer there, or another has taken it."""
        try:
            if self._file is None:
                return False
            if self._heartbeat is not None and self._content() != self._line:
                return True
            return not os.path.samestat(self._file, self.path.stat())
        except OSError:
            return True

    def owned(self, *, new: bool = False) -> bool:
        """Whether the file names an owner, present or past: then the folder is one of ours.

        Args:
            new: whether a file does, too, that waits for its first owner to say its name.
        """
        content = self._content()  # once: that name may come at any time
        return content is not None and (_LINE.match(content) is not None or (new and not content))

    def _content(self) -> bytes | None:
        try:
            return read_once(self.path, _LINE_BYTES)
        except OSError:
            return None

    def _acquired(self, descriptor: int) -> None:
        """The system has given the lock; other machines may know nothing of it."""
        self._take(descriptor, sure=not is_shared(self.path))

    def _acquire_alone(self) -> None:
        """Without the system."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o666)
        try:
            self._take(descriptor, sure=False)
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int, *, sure: bool) -> None:
        """Writes the own name, once nobody else can be at work.

        Where nobody else says so, the name is looked at again after a while: of several that write
        theirs at the same time the last one stands.

        Source: Lamport 1987, "A fast mutual exclusion algorithm", section 2 (Fischer's).
        """
        file = os.fstat(descriptor)
        if not stat.S_ISREG(file.st_mode):
            raise OSError(errno.EINVAL, f"its {self.path.name} is not a regular file")
        if not sure and self._may_be_alive() and not is_silent(self.path):
            raise InUse(self._said_owner())
        line = _owner().encode()
        if not sure:
            line += f" ({secrets.token_hex(4)})".encode()
        # Never empty meanwhile: whoever looks at it must see whose folder this is.
        os.pwrite(descriptor, line, 0)
        os.ftruncate(descriptor, len(line))
        os.fsync(descriptor)
        if not sure:
            time.sleep(_SETTLED)
            if self._content() != line:
                raise InUse(self._said_owner())
            self._heartbeat = Heartbeat(self.path)
        self._line, self._file = line, file

    def _may_be_alive(self) -> bool:
        """Whether the file names an owner who has not said that it is over, and may be at work."""
        content = self._content() or b""
        if _LINE.match(content) is None or content.endswith(_ENDED):
            return False
        _, number, _, host, *_ = content.decode(errors="replace").split()
        return host != socket.gethostname() or _alive(int(number))

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

"""Files that are there whole or not at all, also after a power cut."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contsemi.errors import StorageFailed

_TEMPORARY = re.compile(r"\.[\w.-]+\.\d+\.tmp", re.ASCII)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def storage(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn an ``OSError`` inside the block into one line that names ``path`` and the reason.

    Args:
        path: what is written.
        needed: bytes that are to be written, where they are known.

    Raises:
        StorageFailed: the block raised an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        room = ""
        if error.errno in _NO_ROOM and needed is not None:
            room = f": {needed} bytes needed, {_free(path.parent)} free"
        raise StorageFailed(
            f"{path}: cannot be written ({error.strerror or error}{room}); free space or mend the "
            "rights of the folder, or choose another folder"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by ``content``; a crash at any moment leaves the old file or the new one.

    The content is on the disk before it takes the name, and the name before this returns, so what
    is written next can rely on it even if the power fails.

    Raises:
        StorageFailed: the disk is full, the folder is read-only or gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage(path, len(content)):
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o666)
            try:
                write_all(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)


def write_all(descriptor: int, content: bytes | bytearray) -> None:
    """All of ``content``, however little the system takes at a time."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; some file systems cannot, and need not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> list[Path]:
    """Make a folder and those above it, so that none of them is lost in a power cut.

    Returns:
        What was missing, the innermost first.

    Raises:
        OSError: it cannot be made, or is something else than a folder.
    """
    missing = []
    for each in (path, *path.parents):
        if each.is_dir():
            break
        missing.append(each)
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)
    return missing


def sweep(folder: Path) -> None:
    """Remove what killed writes left in a folder that no process is writing to."""
    if not folder.is_dir():
        return
    with storage(folder):
        for path in list(folder.iterdir()):
            if _TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _free(folder: Path) -> str:
    try:
        return str(shutil.disk_usage(folder).free)
    except OSError:
        return "an unknown number"

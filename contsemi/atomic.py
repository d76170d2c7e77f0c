"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contsemi.errors import StorageFailed

__all__ = ["storage", "write_atomically"]


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` inside the block into one line that names ``path`` and the reason.

    Raises:
        StorageFailed: the block raised an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"{path}: cannot be written ({error.strerror or error}); free space or mend the "
            "rights of the folder, or choose another with output="
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by ``content``; a crash at any moment leaves the old file or the new one.

    Raises:
        StorageFailed: the disk is full, the folder is read-only or gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; some file systems cannot, and need not."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Files that somebody else may have put where ours would go: they are never changed."""

import stat
from pathlib import Path

from contsemi.errors import InputError

_LOOK = 1 << 12  # bytes of a file's beginning


def refuse_others(path: Path, key: str, *marks: bytes) -> None:
    """Refuses to write over a file that does not begin as ours do.

    Args:
        path: of the file that is to be written.
        key: that names it.
        marks: each of which stands in the beginning of such a file of ours.

    Raises:
        InputError: it is there, and is no file, cannot be read, or is one of something else.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            # A device, too: the new file would take its name from it.
            raise InputError(key, f"{path} is not a regular file", "name another")
        with path.open("rb") as file:
            begin = file.read(_LOOK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(key, f"{path}: {error.strerror}", "name another") from None
    if state.st_size and not any(mark in begin for mark in marks):
        raise InputError(key, f"{path} is a file of something else", "name another, or remove it")

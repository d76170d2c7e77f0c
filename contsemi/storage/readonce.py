"""Files that somebody else may have written: read once, and only what is plainly a file.

What was read is hashed and parsed from memory. Nothing is opened a second time, so that it cannot
change between the check and the use; no link is followed, so that a folder has nothing of another
one in it; and nothing waits for the other end of a pipe.
"""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any


def read_once(path: Path, limit: int) -> bytes:
    """The content of a regular file, itself and its folder no link.

    Args:
        path: the file.
        limit: most bytes it may have.

    Raises:
        OSError: it is missing, a link, a pipe, a device or a folder, or larger than ``limit``.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(limit + 1) if status.st_size <= limit else None
    if content is None or len(content) > limit:
        raise OSError(errno.EFBIG, f"more than {limit} bytes", str(path))
    return content


def parse_json(content: bytes) -> Any:
    """JSON as it is defined: no NaN, no endless nesting.

    Raises:
        ValueError: it is not that.
    """
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")

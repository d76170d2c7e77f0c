"""How much of the machine's own memory this process may still take, and what does not fit in it."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from contsemi.errors import InputError

_GROUP = Path("/sys/fs/cgroup")  # of a container


def free_bytes() -> int | None:
    """Bytes free: the least of the machine's, its container's, and this process's own limit.

    Returns:
        ``None`` where the system does not say.
    """
    found = []
    for ask in (_machine, _container, _process):
        with suppress(OSError, ValueError, KeyError, ImportError):
            found.append(ask())
    return max(min(found), 0) if found else None


def _machine() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable")))


def _container() -> int:
    most = int((_GROUP / "memory.max").read_text())
    lines = (_GROUP / "memory.stat").read_text().split("\n")
    cache = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return most - int((_GROUP / "memory.current").read_text()) + cache


def _process() -> int:
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        raise ValueError("no limit")
    return most - int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")


def gigabytes(number: float) -> str:
    """Bytes for one line of print.

    >>> gigabytes(154_618_822_656)
    '155 GB'
    """
    return f"{number / 1e9:.3g} GB" if number < 1e12 else f"{number / 1e12:.4g} TB"


def host_bytes(error: BaseException) -> int | None:
    """Bytes that the machine's own memory had no room for; ``None`` if that is not the error.

    0 where the error does not say how many.

    >>> host_bytes(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    ...                         "154618822656 bytes."))
    154618822656
    """
    text = str(error)
    if isinstance(error, RuntimeError) and "can't allocate memory" in text:
        found = re.search(r"allocate (\d+) bytes", text)
        return int(found[1]) if found else 0
    if isinstance(error, MemoryError):
        found = re.search(r"allocate ([\d.]+) ([KMGTPE])iB", text)
        return int(float(found[1]) * 1024 ** (" KMGTPE".index(found[2]))) if found else 0
    return None


def refuse_too_much(
    asked: int, key: str, what: str, fix: str, free: Callable[[], int | None] = free_bytes
) -> None:
    """Refuses what the machine's own memory has no room for, before it is made.

    Args:
        asked: bytes, rather too few than too many.
        key: that decides on them.
        what: they are for.
        fix: what to do about it.
        free: asked for the bytes that there are.

    Raises:
        InputError: there are fewer bytes than that.
    """
    room = free()
    if room is not None and asked > room:
        problem = f"{what} asks for about {gigabytes(asked)} of memory, and {gigabytes(room)} are"
        raise InputError(key, f"{problem} free on this machine", fix)

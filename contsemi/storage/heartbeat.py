"""Signs of life of whoever holds a folder, where the system's own locks cannot be trusted.

On file systems of many machines ``flock`` may be missing, or hold on one machine alone. There the
owner touches its lock file every few seconds, and who wants the folder watches whether the file's
time moves: no clocks are compared, and nothing is left to be cleaned up after a kill.
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

BEAT = 3.0  # seconds between two signs of life
SILENCE = 15.0  # after which there will be none
# Of mounts that other machines may have, too. Lustre and FUSE often lock on one machine alone.
_SHARED = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "fhgfs", "glusterfs", "gpfs", "lustre", "nfs"),
    *("nfs4", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs"),
}


def is_shared(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether other machines may see a folder; where the system does not tell, it is taken for no.

    Args:
        path: the folder, or a file in it.
        mounts: what the system tells.
    """
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return False
    real = path.resolve()
    over = [
        (len(words[1]), words[2])
        for words in lines
        if len(words) > 2 and real.is_relative_to(_unescaped(words[1]))
    ]
    kind = max(over, default=(0, ""))[1]
    return kind in _SHARED or kind.startswith("fuse.")


def _unescaped(name: str) -> str:
    """Blanks in names of mounts are written as octal numbers."""
    return name.replace("\\040", " ").replace("\\011", "\t")


def is_silent(path: Path) -> bool:
    """Whether a file is not touched for a while; waits for that long."""
    first, deadline = _touched(path), time.monotonic() + SILENCE
    while time.monotonic() < deadline:
        time.sleep(min(BEAT / 2, SILENCE / 4))
        if _touched(path) != first:
            return False
    return True


def _touched(path: Path) -> int:
    """Its time, asked of the server: NFS answers of its own until a file is opened."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return 0


class Heartbeat:
    """Touches a file every few seconds, until it is stopped.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._over = path, threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No sign of life from here on."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(OSError):  # a server that does not answer now may do so later
                os.utime(self._path)

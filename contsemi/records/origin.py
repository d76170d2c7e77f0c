"""Which code a run was made by, and on which processor."""

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import contsemi

_CPUINFO = Path("/proc/cpuinfo")  # Linux, where `platform` knows no name
# By these git takes another repository for the one that it is asked about: its hooks have them.
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")


@cache
def processor() -> str:
    """Name of the CPU, such as ``AMD EPYC 9B14``; that of its kind where no name is known."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


@cache
def commit() -> str | None:
    """The commit of the checkout that contsemi runs from, as in ``09bdc408`` or ``09bdc408.dirty``.

    ``dirty`` is a checkout whose files are not those of its commit. ``None`` for a release that is
    installed, and where git does not answer.
    """
    root = Path(contsemi.__file__).resolve().parents[1]
    if not (root / ".git").exists():  # installed, be it inside of another repository
        return None
    git = ["git", "--no-optional-locks", "-C", str(root)]  # nobody's commit is in its way
    asked = ["describe", "--always", "--abbrev=8", "--exclude=*", "--dirty=.dirty"]
    own = {key: value for key, value in os.environ.items() if key not in _OF_ANOTHER}
    try:
        told = subprocess.run(
            [*git, *asked], env=own, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()

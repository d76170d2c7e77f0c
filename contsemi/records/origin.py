"""Which code a run was made by, and on which processor."""

import platform
import subprocess
from functools import cache
from pathlib import Path

import contsemi

_CPUINFO = Path("/proc/cpuinfo")  # Linux, where `platform` knows no name


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
def version() -> str:
    """The version of contsemi; of a checkout with its commit, as in ``0.1.0+g09bdc408.dirty``.

    ``dirty`` is a checkout whose files are not those of its commit. A release that is installed
    has no commit, nor has a checkout that git does not answer for.
    """
    package = Path(contsemi.__file__).resolve().parent
    if not (package.parent / ".git").exists():  # installed, be it inside of another repository
        return contsemi.__version__
    git = ["git", "--no-optional-locks", "-C", str(package)]  # nobody's commit is in its way
    asked = ["describe", "--always", "--abbrev=8", "--exclude=*", "--dirty=.dirty"]
    try:
        told = subprocess.run([*git, *asked], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return contsemi.__version__
    return f"{contsemi.__version__}+g{told.stdout.strip()}"

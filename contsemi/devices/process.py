"""What a process of our own needs before torch is loaded."""

import os
import sys

# With glibc's defaults every large activation is mapped and unmapped, page by page, in every step.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34)}


def prepare(threads: int) -> None:
    """Sets what libraries read when they are loaded, and what the C library reads at its start.

    With the two malloc thresholds the memory of large activations is kept from step to step, where
    it would be given back and asked for again page by page; the numbers are the same.
    glibc reads them only when a process starts, so this one starts itself again, once: same
    process id, terminal and exit code. ``CONTSEMI_NO_REEXEC=1`` switches that off.

    Args:
        threads: of the CPU; 0 leaves the choice to the libraries.
    """
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    watched = sys.gettrace() is not None or sys.getprofile() is not None
    if (
        sys.platform == "linux"
        and not os.environ.get("CONTSEMI_NO_REEXEC")
        and not watched
        and "torch" not in sys.modules
        and not any(name in os.environ for name in MALLOC)
        and sys.executable
    ):
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | MALLOC)

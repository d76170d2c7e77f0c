"""What a process of our own needs before torch is loaded."""

import os
import signal
import sys

# With glibc's defaults every large activation is mapped and unmapped, page by page, in every step.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34)}

# The process that started this one and is waited for by nobody else; see `end_with_starter`.
STARTER = "CONTSEMI_STARTER"
_PR_SET_PDEATHSIG = 1


def end_with_starter() -> None:
    """Lets a run of a benchmark or a search end with it, even where that is killed outright.

    Who starts runs that are his alone names himself in :data:`STARTER`. Linux then sends SIGTERM
    when he is gone, at which a run saves itself; elsewhere the run trains on to its end.
    """
    starter = os.environ.pop(STARTER, None)  # what this process starts has another one
    if starter is None or sys.platform != "linux":
        return
    import ctypes  # a run that nobody started for himself does without

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(starter):  # he was gone before Linux was asked
        sys.exit(128 + signal.SIGTERM)


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

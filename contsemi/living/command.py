"""What the commands beside ``run`` have in common: words in, one line of error out."""

import sys
from collections.abc import Callable, Sequence

from contsemi.report.door import Parser, enter

__all__ = ["Parser", "carried_out"]


def carried_out(command: Callable[[Sequence[str]], None], argv: Sequence[str] | None) -> int:
    """Runs a command and returns the exit code of the process.

    Args:
        command: takes the words.
        argv: the words; ``None`` for the process's own.
    """

    def work() -> int:
        command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return 0

    return enter(work)

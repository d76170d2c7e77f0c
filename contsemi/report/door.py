"""What the commands beside ``contsemi.run`` promise: one line for a wrong word, 130 for Ctrl-C."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from contsemi.errors import ContsemiError, InputError

__all__ = ["Parser", "at_once", "enter"]

SIGINT_CODE, PIPE_CODE = 130, 141


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print below its usage."""
        raise InputError(self.prog, message, "--help shows how it is called")


def enter(work: Callable[[], int]) -> int:
    """Do the work of a command; the exit code of its process.

    Args:
        work: gives the exit code; what it raises becomes one line on the standard error.
    """
    from contsemi.report.words import one_line

    try:
        code = work()
        sys.stdout.flush()
        return code
    except ContsemiError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return SIGINT_CODE
    except BrokenPipeError:
        # Nobody reads any more (`| head`): say nothing, not even when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CODE


def at_once() -> None:
    """Let Ctrl-C end the process while it imports: nothing is written yet, no module half made.

    The command gives Ctrl-C its usual meaning back as soon as it begins its work.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(SIGINT_CODE))

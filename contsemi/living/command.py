"""What the commands beside ``run`` have in common: words in, one line of error out."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from contsemi.errors import ContsemiError, InputError

__all__ = ["Parser", "carried_out"]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raises what is printed as one line."""
        raise InputError(self.prog, message, f"{self.prog} --help says what there is")


def carried_out(command: Callable[[Sequence[str]], None], argv: Sequence[str] | None) -> int:
    """Runs a command and returns the exit code of the process.

    Args:
        command: takes the words.
        argv: the words; ``None`` for the process's own.
    """
    try:
        command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return 0
    except ContsemiError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception:
        traceback.print_exc()
        return 1

"""What the commands beside ``contsemi.run`` promise: one line for a wrong word, 130 for Ctrl-C.

SIGTERM and a closed terminal end them as Ctrl-C does, so that what they have begun is cleared up
and what they have started ends with them.
"""

import argparse
import atexit
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import NoReturn

from contsemi.errors import ENDINGS, InputError, MethodFailed
from contsemi.report.blame import faults_named

SIGINT_CODE, PIPE_CODE = 130, 141
_LESS = "end what else takes much of it, or use a larger machine"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print below its usage."""
        raise InputError(self.prog, message, "--help shows how it is called")


def command(room: str) -> Callable[..., int]:
    """The ``main`` of a command: words, or the process's own if none are given, to its exit code.

    Args:
        room: whose module ``command`` has a function of that name: of the words, or ``None`` for
            the process's own, to the exit code. It may raise a
            :class:`~contsemi.errors.ContsemiError`, and is imported when it is called.
    """

    def main(arguments: Sequence[str] | None = None) -> int:
        def work() -> int:
            do = getattr(import_module(f"contsemi.{room}.command"), room)
            with _stopped_by_signals():
                code: int = do(arguments)
            return code

        return enter(work)

    return main


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Inside, each of them is a :class:`KeyboardInterrupt` with its number; ``nohup`` stays so."""

    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    heard = [each for each in STOPPING if signal.getsignal(each) != signal.SIG_IGN]
    before = {each: signal.signal(each, stop) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def enter(work: Callable[[], int]) -> int:
    """Do the work of a command; the exit code of its process.

    Args:
        work: gives the exit code; what it raises becomes one line on the standard error.
    """
    # Names of files may be any bytes, and those of classes any characters.
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(io.UnsupportedOperation):  # of one that was read from before
                stream.reconfigure(errors=errors)
    try:
        with faults_named(_LESS):
            code = work()
        sys.stdout.flush()
        return code
    except ENDINGS as error:
        _say(error)
        return error.exit_code
    except KeyboardInterrupt as error:
        return 128 + error.args[0] if error.args else SIGINT_CODE
    except BrokenPipeError:
        # Nobody reads any more (`| head`): say nothing, not even when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CODE
    except RuntimeError as error:
        if "home directory" not in str(error):
            raise
        _say("~: a path begins with the home of a user who is not here; write the whole path")
        return InputError.exit_code
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else "a file"
        _say(f"{named}: {error.strerror or error}; mend its rights, or name another")
        return InputError.exit_code


def _say(error: object) -> None:
    from contsemi.report.words import one_line

    trace = error.trace if isinstance(error, MethodFailed) else ""
    with suppress(OSError):  # whoever reads it or not, the exit code is the same
        lines = [f"error: {one_line(error)}", *trace.splitlines()]
        print(*lines, sep="\n", file=sys.stderr, flush=True)


def as_process(main: Callable[[], int]) -> NoReturn:
    """End the process with a command's exit code; Ctrl-C ends it at any moment before.

    While it imports nothing is written yet, and no module must be left half made; before the
    command begins its work Ctrl-C gets its usual meaning back.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(SIGINT_CODE))
    ignored_at_last()
    sys.exit(main())


def ignored_at_last() -> None:
    """Let Ctrl-C not change the exit code of a process that is done; to be called at its start.

    Python gives its handlers up before it clears its modules away, and only what is ignored stays
    so. What is registered first is done last: threads and others' ends can still be interrupted.
    """
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)

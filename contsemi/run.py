"""The command: ``python -m contsemi.run [key=value ...]``; ``--help`` shows the rest.

Compose, check, run, exit code; no logic of its own. torch is imported only after the check.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsemi import __version__
from contsemi.config import Config
from contsemi.devices.environment import ranked, said_once, speaks
from contsemi.devices.process import end_with_starter, prepare
from contsemi.errors import (
    ENDINGS,
    ContsemiError,
    Elsewhere,
    InputError,
    Interrupted,
    MethodFailed,
    RankLost,
)

if TYPE_CHECKING:
    from contsemi.compose import Composed

_LAST_WORDS = 20.0  # seconds that another process of the same machine may be behind


def main(argv: Sequence[str] | None = None, *, own_process: bool = False) -> int:
    """Does what a command line says.

    Args:
        argv: the words after ``python -m contsemi.run``; ``None`` takes the process's own.
        own_process: whether the process is ours alone, so that it may start itself again.

    Returns:
        The exit code of the process.
    """
    if own_process:
        end_with_starter()
        _give_streams()
    try:
        return _main(sys.argv[1:] if argv is None else argv, own_process)
    except ENDINGS as error:
        if own_process and ranked():
            _leave(error)
        return _failed(error)
    except KeyboardInterrupt as error:
        first = error.__context__  # it came once more while the run was on its way out
        return _failed(first) if isinstance(first, Interrupted) else 130
    except BrokenPipeError:
        # Nobody reads any more (`| head`): say nothing, not even when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception:
        traceback.print_exc()
        return 1


def _main(argv: Sequence[str], own_process: bool) -> int:
    from contsemi import compose
    from contsemi.compose.argv import search_words, split

    arguments = split(argv)
    if arguments.action in ("help", "version"):
        if not speaks():
            return 0
        version = f"contsemi {__version__}"
        print(version if arguments.action == "version" else compose.usage.text(), flush=True)
        return 0
    if arguments.sweeper and arguments.action == "run" and not ranked():
        from contsemi.report.door import command

        return command("tune")(search_words(arguments))
    with said_once(ContsemiError):
        runs = compose.expand(arguments.tokens, multirun=arguments.multirun)
        if (others := arguments.launcher or arguments.sweeper) and ranked():
            problem = "its jobs are started by one process, and torchrun has started more"
            raise InputError(others[0].partition("=")[0], problem, "start it without torchrun")
    if arguments.action == "config":
        if not speaks():
            return 0
        print("---\n".join(compose.to_yaml(run.config) for run in runs), end="", flush=True)
        return 0
    if own_process:
        prepare(runs[0].config.threads)
    if arguments.launcher:
        from contsemi.compose.launch import launch

        code = launch(runs, arguments.launcher, _train)
        _show_table(runs)
        return code
    if len(runs) == 1:
        _train(runs[0].config, runs[0].given)
        return 0
    codes = []
    for number, run in enumerate(runs, start=1):
        if speaks():
            print(f"run {number} of {len(runs)}: {' '.join(run.words)}", flush=True)
        try:
            _train(run.config)
            codes.append(0)
        except ENDINGS as error:
            if ranked():  # the others may be in another run of the sweep by now
                raise
            codes.append(_failed(error))
            if codes[-1] > 128:  # a signal ends the sweep, not one run of it
                return codes[-1]
    if speaks():
        _show_table(runs)
    return next((code for code in codes if code), 0)


def _train(config: Config, given: Mapping[str, Any] | None = None) -> None:
    from contsemi import pipeline
    from contsemi.report.blame import faults_named

    with faults_named():
        pipeline.run(config.model_copy(update={"output": str(_folder(config))}), given)


def _folder(config: Config) -> Path:
    from contsemi.compose import run_name

    return Path(config.output).expanduser() if config.output else run_name(config)


def _show_table(runs: "Sequence[Composed]") -> None:
    """A sweep ends with what its finished runs say together."""
    from contsemi.report.command import show_comparison
    from contsemi.report.screen.console import Display

    folders = [_folder(run.config) for run in runs]
    if len([folder for folder in folders if (folder / "results.json").is_file()]) > 1:
        with Display("plain") as display:
            show_comparison(folders, display)


def _failed(error: ContsemiError | Interrupted) -> int:
    if text := " ".join(str(error).split()):
        with suppress(OSError):  # whoever reads it or not, the exit code is the same
            trace = error.trace if isinstance(error, MethodFailed) else ""
            print(f"error: {text}", *trace.splitlines(), sep="\n", file=sys.stderr, flush=True)
    return error.exit_code


def _leave(error: ContsemiError | Interrupted) -> None:
    """Out of a run of several processes: torchrun ends the others as soon as one has ended.

    So who has nothing to say waits until that is asked of it: another has the line to say, and
    would be ended before it has said it.
    """
    asked: list[int] = []
    # Each of them is on its way out with the exit code that says why.
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    silent = isinstance(error, Elsewhere) and error.exit_code < 128  # above, all were asked
    deadline = time.monotonic() + _LAST_WORDS
    while silent and not asked and time.monotonic() < deadline:
        time.sleep(0.05)
    if isinstance(error, RankLost):
        # What waits for the one that is gone must not hold the end up.
        _failed(error)
        sys.stdout.flush()
        os._exit(error.exit_code)


def _give_streams() -> None:
    """A process that was started with a closed stream (``>&-``) writes it to nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


if __name__ == "__main__":
    # Not this module's own main: what is defined in __main__ cannot be unpickled elsewhere.
    from contsemi.report.door import ignored_at_last
    from contsemi.run import main as imported_main

    ignored_at_last()
    sys.exit(imported_main(own_process=True))

"""One trial as a process of its own: started, watched, stopped, and its processor time taken."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from contsemi.benchmark.training import started
from contsemi.records.lines import entries
from contsemi.records.written import as_written


class Process:
    """A run that trains, or goes on.

    Args:
        settings: ``key=value`` words.
        folder: of its output; its screen goes to a file beside it.
    """

    def __init__(self, settings: Sequence[str], folder: Path) -> None:
        self.folder, self.log = folder, folder.with_suffix(".log")
        self._began = time.monotonic()
        # Ctrl-C reaches it through us, once.
        self._process = started([*settings, "resume=auto"], folder)
        self.code: int | None = None
        self._took, self._asked = 0.0, False

    @property
    def processor_seconds(self) -> float:
        """Taken so far; while it runs, the time that has passed, which one thread cannot exceed."""
        return self._took if self.code is not None else time.monotonic() - self._began

    def ended(self, *, wait: bool = False) -> bool:
        """Whether it is over; its exit code and processor time are known then.

        Args:
            wait: until it is.
        """
        if self.code is None:
            pid, status, used = os.wait4(self._process.pid, 0 if wait else os.WNOHANG)
            if pid:
                self.code = self._process.returncode = os.waitstatus_to_exitcode(status)
                self._took = used.ru_utime + used.ru_stime
        return self.code is not None

    def ask(self) -> None:
        """Ask it to save itself and to end."""
        if not self._asked and not self.ended():
            self._process.send_signal(signal.SIGTERM)  # a second one would cut the saving short
            self._asked = True

    def stop(self) -> None:
        """The same, and wait until it has."""
        self.ask()
        self.ended(wait=True)


def accuracies_on_the_way(folder: Path, name: str) -> list[float]:
    """What a run that is not over has reached so far.

    Args:
        folder: of the run.
        name: of accuracies by task, such as ``accuracy/class_incremental``.

    Returns:
        The mean over the tasks seen so far at each evaluation, in their order.
    """
    group, kind = name.split("/")
    found: dict[tuple[int, int], list[float]] = {}
    with as_written(folder / "metrics.jsonl"):
        for entry in entries(folder, group):
            if entry.name.startswith(f"{kind}/") and entry.value is not None:
                found.setdefault((entry.task, entry.step), []).append(entry.value)
    return [sum(values) / len(values) for _, values in sorted(found.items())]

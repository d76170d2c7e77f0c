"""The search: trials side by side until there are enough, or the time is spent."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contsemi.benchmark.training import complaint
from contsemi.errors import ContsemiError, Diverged, InputError, MethodFailed, OutOfDeviceMemory
from contsemi.report.words import duration, percent
from contsemi.tune.processes import Process, accuracies_on_the_way
from contsemi.tune.sampling import Sampling
from contsemi.tune.trials import OVER, Manifest, Trial

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_WRITES = 60.0


@dataclass(eq=False)
class Search:
    """Runs the trials of a manifest.

    Attributes:
        manifest: what is known so far, and kept up to date.
        sampling: says what to try.
        words: settings of every trial.
        progress: name of the accuracies by task in ``metrics.jsonl`` that tell how a trial goes.
        defaults: values of the searched keys as they are configured, which are tried first.
        say: prints a line.
    """

    manifest: Manifest
    sampling: Sampling
    words: Sequence[str]
    progress: str
    defaults: dict[str, Any]
    say: Callable[[str], None]
    _running: dict[int, tuple[Process, float]] = field(default_factory=dict, init=False)

    def run(self, *, trials: int, budget: float, jobs: int) -> None:
        """Train what is missing.

        Args:
            trials: there are to be, those of earlier calls counted.
            budget: seconds of processor time; no trial begins when they are spent.
            jobs: trials side by side.

        Raises:
            ContsemiError: a trial was ended by something else than its values; it is not over.
            KeyboardInterrupt: the trials have saved themselves, and the same call goes on.
        """
        written = time.monotonic()
        try:
            while True:
                while len(self._running) < jobs and (found := self._next(trials, budget)):
                    self._start(found)
                if not self._running:
                    return
                time.sleep(SECONDS_BETWEEN_LOOKS)
                for number in list(self._running):
                    self._look(self.manifest.trials[number])
                if time.monotonic() - written > SECONDS_BETWEEN_WRITES:
                    self._take_time()  # nobody could any more after a kill or a power cut
                    written = time.monotonic()
        finally:
            for process, _ in self._running.values():
                process.ask()
            for process, _ in self._running.values():
                process.stop()
            self._take_time()

    def _next(self, most: int, budget: float) -> Trial | None:
        """A trial that was interrupted, or a new one."""
        trials = self.manifest.trials
        waiting = [
            each for each in trials if each.state not in OVER and each.number not in self._running
        ]
        spent = sum(
            before + process.processor_seconds for process, before in self._running.values()
        ) + sum(each.processor_seconds for each in trials if each.number not in self._running)
        if spent >= budget or not (waiting or len(trials) < most):
            return None
        if waiting:
            return waiting[0]
        values = self.sampling.next_values(trials) if trials else self.defaults
        trials.append(Trial(number=len(trials), values=values))
        return trials[-1]

    def _take_time(self) -> None:
        for number, (process, before) in self._running.items():
            trial = self.manifest.trials[number]
            trial.processor_seconds = before + process.processor_seconds
        self.manifest.write()

    def _start(self, trial: Trial) -> None:
        self.manifest.write()
        process = Process([*self.words, *trial.words], self.manifest.place_of(trial))
        self._running[trial.number] = process, trial.processor_seconds

    def _look(self, trial: Trial) -> None:
        """Ends a trial that is over, or that is not worth going on with."""
        process, before = self._running[trial.number]
        over = process.ended()
        folder = self.manifest.place_of(trial)
        trial.on_the_way = accuracies_on_the_way(folder, self.progress)
        if not over and self.manifest.hopeless(trial):
            process.stop()
            trial.state = "finished" if process.code == 0 else "pruned"
        elif not over:
            return
        else:
            trial.state = "failed" if process.code else "finished"
        del self._running[trial.number]
        trial.processor_seconds = before + process.processor_seconds
        if trial.state == "finished":
            if trial.number == 0:
                for line in _idle(process.log):
                    self.say(line)
            results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
            trial.score = results["class_incremental"]["average_accuracy"]
        elif trial.state == "failed":
            trial.reason, *trace = complaint(process.log)
            if process.code not in (Diverged.exit_code, OutOfDeviceMemory.exit_code):
                trial.state = "waiting"  # its values are not to blame
                raise _ended(trial, process, "\n".join(trace))
        self.manifest.write()
        self.say(told(trial))


def _idle(log: Path) -> list[str]:
    """What a run says of keys without an effect, of which a search tells values apart by luck."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.startswith("note: ") and " has no effect" in line]


def _ended(trial: Trial, process: Process, trace: str) -> ContsemiError:
    """What ends a search with one of its trials, which the same command goes on with."""
    code, where, anew = process.code or 0, f"trial {trial.number}", "give the same command"
    if code == MethodFailed.exit_code:
        head, _, tail = trial.reason.rpartition("; mend it there")
        return MethodFailed(where, head or tail, trace=trace)
    if code == InputError.exit_code:
        return InputError(where, f"is refused: {trial.reason}", f"mend it and {anew}")
    said = trial.reason if code > 0 else f"was ended by signal {-code}"
    error = ContsemiError(f"{where}: {said}; see {process.log}, then {anew}")
    error.exit_code = code if code > 0 else 128 - code  # of a signal, as a shell has it
    return error


def told(trial: Trial) -> str:
    """A trial in one line."""
    values = " ".join(trial.words)
    reached = f" {percent(trial.score)}%" if trial.score is not None else ""
    why = f" ({trial.reason})" if trial.reason else ""
    took = duration(trial.processor_seconds)
    return f"trial {trial.number}: {trial.state}{reached}{why}, {took} of a processor: {values}"

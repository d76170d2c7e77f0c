"""The saving half of a run: what is written so that the same command goes on, and taken back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsemi.config import Config
from contsemi.data.scenario import Stream
from contsemi.devices.meeting import tell_state, together
from contsemi.devices.ranks import Ranks
from contsemi.errors import StateDamaged
from contsemi.learner.learner import Learner
from contsemi.pipeline.standing import RunRecord, changes, rows_of
from contsemi.pipeline.watch import Watch
from contsemi.records.records import Records
from contsemi.report.screen.console import Display
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.folder import OutputFolder
from contsemi.storage.ledger import Mark

__all__ = ["Saving"]


class Saving:
    """The saving half of a run in progress, which has the rest."""

    config: Config
    ranks: Ranks
    stream: Stream
    learner: Learner
    display: Display
    output: OutputFolder
    records: Records
    checkpoints: Checkpoints
    watch: Watch
    task: int
    tasks: int
    trained: bool
    matrices: dict[str, NDArray[np.float64]]
    predictors: dict[str, dict[str, float]]
    environment: dict[str, str]
    changes: list[str]

    def save(self, task: int, place: tuple[int, int] | None, *, trained: bool = False) -> None:
        """Saves everything, which is the same in all processes: the first one does.

        Args:
            task: the task to go on with.
            place: (epoch, iteration) inside it; ``None`` outside of its training.
            trained: whether only its evaluation is left. What follows an evaluation has the same
                tensors, so that these are not written again.
        """
        if self.config.baseline["name"] != "none" or not self.ranks.first:
            return
        began = time.monotonic()
        self.output.refuse_if_gone()
        mark = self.records.flush()
        record = RunRecord(
            task=task,
            place=None if place is None else list(place),
            trained=trained,
            step_in_task=self.learner.step_in_task,
            steps_done=self.watch.steps_done,
            images_done=self.watch.images_done,
            seconds=self.watch.seconds,
            metrics_bytes=mark.length,
            metrics_sha256=mark.sha256,
            predictors=self.predictors,
            matrices={kind: rows_of(matrix) for kind, matrix in self.matrices.items()},
            pieces=self.learner.pieces,
            environment=self.environment,
            changes=self.changes,
        ).model_dump()
        if place is None and not trained:
            self.checkpoints.amend(record)
        else:
            self.checkpoints.save(self.learner.state(), record)
            self.watch.save_seconds = time.monotonic() - began
        self.watch.saved_at = time.monotonic()

    def restore(self) -> tuple[int, int] | None:
        """Takes the newest whole state back, if there is one.

        Returns:
            (epoch, iteration) to go on from inside the task, ``None`` outside of its training.

        Raises:
            StateDamaged: there are states, and none of them can be used.
        """
        with together(self.ranks):
            saved = self.checkpoints.load(self.refuse_record) if self.ranks.first else None
        saved = tell_state(self.ranks, saved)
        for problem in self.checkpoints.passed_over[:1]:
            self.display.note(f"the newest saved state is damaged ({problem}): goes on before it")
        if saved is None:
            return None
        if self.ranks.first and not self.checkpoints.passed_over:
            self.checkpoints.sweep()
        state, record = saved[0], RunRecord.of(saved[1], self.tasks)
        place = None if record.place is None else (record.place[0], record.place[1])
        self.task, self.trained = record.task, record.trained
        self.learner.pieces = max(self.learner.pieces, record.pieces)
        begun = place is not None or record.trained
        experience = self.stream.experiences[self.task - (not begun)]
        step = None if place is None else record.step_in_task
        with _fitting(self.checkpoints.folder):
            self.learner.restore(state, experience, self.stream.images, step)
        for kind, rows in record.matrices.items():
            self.matrices[kind] = np.array(rows, dtype=float)
        self.predictors = record.predictors
        self.watch.steps_done = record.steps_done
        self.watch.images_done = record.images_done
        self.watch.seconds_before = record.seconds
        if self.task:
            row = self.matrices["class_incremental"][self.task - 1, : self.task]
            self.watch.accuracies = row.tolist()
        self.records.truncate(Mark(record.metrics_bytes, record.metrics_sha256))
        self.display.note(f"goes on from a checkpoint in task {self.task + 1}")
        changed = changes(record.environment, self.environment)
        self.changes = [*record.changes, *changed]
        if changed:
            self.display.note(
                f"not on the same footing as before: {', '.join(changed)}; "
                "the numbers may differ in their last digits from an undisturbed run's"
            )
        return place

    def refuse_record(self, content: dict[str, Any]) -> str:
        """What is wrong with a saved record; empty for nothing."""
        try:
            record = RunRecord.of(content, self.tasks)
        except StateDamaged as error:
            return str(error)
        return self.records.lacks(Mark(record.metrics_bytes, record.metrics_sha256))


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    """A state with the right digest that does not fit this run's network, memory or optimiser.

    Raises:
        StateDamaged: it does not.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise StateDamaged(
            f"{folder}: the saved state does not fit this run ({str(error)[:200]}); "
            "restore the folder from a copy, or start anew with resume=never"
        ) from error

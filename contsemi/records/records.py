"""The files of an output folder, written so that a crash at any moment leaves them readable."""

import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

from contsemi.errors import StorageFailed
from contsemi.metrics.answers import Answered
from contsemi.metrics.matrix import Matrix, Undefined
from contsemi.records.answers import remove, write, write_paths
from contsemi.records.matrix_csv import to_csv
from contsemi.records.names import Names
from contsemi.records.plain import plain, to_json, to_yaml
from contsemi.storage.atomic import make_folder, storage, write_atomically
from contsemi.storage.ledger import Ledger, Mark

# What a run writes after tasks and at its end; the first says that it is complete.
RESULTS = (
    "results.json",
    "accuracy_matrix.csv",
    "accuracy_matrix_task_incremental.csv",
    "forgetting.png",
    "stability.png",
    "truth.png",
    "report.html",
    "progress.json",
    "labels.txt",
)
MATRICES = ("accuracy_matrix.csv", "accuracy_matrix_task_incremental.csv")
PROGRESS = "progress.json"
SECONDS_BETWEEN_PLACES = 5.0


class Tracker(Protocol):
    """What takes each number besides, such as TensorBoard."""

    def metric(self, name: str, value: float, step: int) -> None:
        """Take a number."""

    def finish(self) -> None:
        """Take no more."""


class Records:
    """Writer of one run's folder: configuration, manifest, metrics and results.

    Args:
        folder: the output folder; made where it is missing.

    Raises:
        StorageFailed: every method, where the disk is full, read-only or gone.
    """

    tracker: Tracker | None = None
    """Takes the metrics, too."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        with storage(self.folder):
            make_folder(self.folder)
        self._metrics = Ledger(self.folder / "metrics.jsonl")
        self._names = Names()
        self._told = -SECONDS_BETWEEN_PLACES

    def start_anew(self) -> None:
        """Forget a run that this folder held; files of others are not touched."""
        self.truncate(Mark.start())
        for name in RESULTS:
            with storage(self.folder / name):
                (self.folder / name).unlink(missing_ok=True)
        remove(self.folder)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write ``config.yaml``: every key, its defaults filled in."""
        self._write("config.yaml", to_yaml(config))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write ``manifest.json``; see :func:`contsemi.records.manifest.manifest`."""
        self._names = Names.of(plain(manifest))
        self._write("manifest.json", to_json(manifest))

    def write_matrices(self, class_incremental: Matrix, task_incremental: Matrix) -> None:
        """Write both accuracy matrices [T, T]; may be called after every task."""
        for name, matrix in zip(MATRICES, (class_incremental, task_incremental), strict=True):
            known = len(self._names.tasks) == len(matrix)
            tasks = [self._names.of_task(task) for task in range(len(matrix))] if known else ()
            self._write(name, to_csv(matrix, tasks))

    def write_progress(self, place: Mapping[str, Any]) -> None:
        """Write where training stands to ``progress.json``, every few seconds at most.

        It is there only while a run is not finished, for ``--follow`` and ``--list``; what stands
        in it depends on the clock, so that nothing else reads it.
        """
        if time.monotonic() - self._told >= SECONDS_BETWEEN_PLACES:
            self._told = time.monotonic()
            with suppress(StorageFailed):  # a hint; what matters will say so itself
                self._write(PROGRESS, to_json(place))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write ``results.json``, last of all: its presence says that the run is complete."""
        self._write("results.json", to_json(results))
        with storage(self.folder / PROGRESS):
            (self.folder / PROGRESS).unlink(missing_ok=True)

    def write_labels(self, rows: Iterable[int]) -> None:
        """Write ``labels.txt``: the labelled images as ``scenario.labels=`` reads them again."""
        self._write("labels.txt", "".join(f"{row}\n" for row in rows).encode())

    def write_answers(self, answered: Answered, task: int, files: Sequence[str] = ()) -> None:
        """Write what was said of each test image after a task from 0, and the files they are."""
        write(self.folder, answered, task)
        if files:
            write_paths(self.folder, files)

    def metric(self, *, step: int, task: int, name: str, value: float | Undefined | None) -> None:
        """Append one line to ``metrics.jsonl``; it reaches the disk with :meth:`flush`.

        Args:
            step: optimiser steps done since the start of the run.
            task: index of the task from 0; the file counts from 1, as the matrix and the screen.
            name: for example ``"loss/prototypes"``.
            value: ``null`` where not finite; a metric that is not defined adds its ``reason``.
        """
        facts = {"step": step, "task": task + 1, "name": name, "value": value}
        if isinstance(value, Undefined):
            facts["reason"] = value.reason
        self._metrics.write(to_json(facts, indent=None))
        if self.tracker is not None and isinstance(value, int | float):
            self.tracker.metric(name, value, step)

    def flush(self) -> Mark:
        """Bring all metrics to the disk and say how far their file goes."""
        return self._metrics.flush()

    def lacks(self, mark: Mark) -> str:
        """What is wrong with the metrics up to a mark; empty if they are those of then."""
        return self._metrics.lacks(mark)

    def truncate(self, mark: Mark) -> None:
        """Forget the metrics written after a mark, before training goes on from there.

        Args:
            mark: what :meth:`flush` returned when the checkpoint was written.

        Raises:
            StateDamaged: the metrics up to there are not those of then.
        """
        self._metrics.truncate(mark)

    def _write(self, name: str, content: bytes) -> None:
        write_atomically(self.folder / name, content)

    def close(self) -> None:
        """Write what is buffered; the object may be used again."""
        self._metrics.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self.tracker is not None:
            self.tracker.finish()


class NoRecords(Records):
    """What the processes write that are not the first of their run: nothing."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder, self._names, self._told = Path(folder), Names(), math.inf

    def start_anew(self) -> None:
        """Nothing."""

    def write_answers(self, answered: Answered, task: int, files: Sequence[str] = ()) -> None:
        """Nothing."""

    def metric(self, *, step: int, task: int, name: str, value: float | Undefined | None) -> None:
        """Nothing."""

    def truncate(self, mark: Mark) -> None:
        """Nothing."""

    def _write(self, name: str, content: bytes) -> None:
        pass

    def close(self) -> None:
        """Nothing."""

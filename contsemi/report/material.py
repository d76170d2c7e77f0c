"""All that is known of a run, finished or not: what figures and pages are made of."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.answers import Answered
from contsemi.metrics.matrix import Matrix, as_matrix
from contsemi.metrics.trajectory import Trajectory
from contsemi.records.answers import read_all, read_paths
from contsemi.records.finished import FinishedRun
from contsemi.records.losses import load_losses
from contsemi.records.matrix_csv import from_csv
from contsemi.records.measured import Series, load_measured
from contsemi.records.names import Names
from contsemi.records.plain import from_yaml
from contsemi.records.trajectories import load_trajectories
from contsemi.records.written import as_written, mapping, read_written


@dataclass(frozen=True)
class Material:
    """What the files of one run say.

    Attributes:
        folder: its output folder.
        title: what it is, in one line.
        matrix: class-incremental accuracies [T, T]; ``None`` before the first task is learned.
        trajectories: evaluations inside tasks by kind.
        config: its configuration.
        manifest: its manifest.
        progress: where training stands; empty of a finished run.
    """

    folder: Path
    title: str
    matrix: Matrix | None
    trajectories: Mapping[str, Trajectory] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(run: FinishedRun) -> "Material":
        """That of a finished run."""
        known = (run.trajectories, run.config, run.manifest)
        return Material(run.folder, run.title, run.class_incremental, *known)

    @staticmethod
    def so_far(folder: Path) -> "Material":
        """That of a run that still trains.

        Raises:
            InputError: a file is damaged.
        """

        def content(name: str, parse: Callable[[str], Any]) -> dict[str, Any]:
            return read_written(folder / name, mapping(parse), missing={})

        config = content("config.yaml", from_yaml)
        manifest = content("manifest.json", json.loads)
        progress = content("progress.json", json.loads)
        scenario = config.get("scenario")
        words = (
            config.get("method", "run"),
            scenario.get("name") if isinstance(scenario, dict) else None,
        )
        title = " · ".join(str(word) for word in words if word)
        matrix, path = None, folder / "accuracy_matrix.csv"
        if path.exists():
            matrix = read_written(path, lambda text: as_matrix(from_csv(text)))
        with as_written(folder / "metrics.jsonl"):
            trajectories = load_trajectories(folder)
        return Material(folder, title, matrix, trajectories, config, manifest, progress)

    @cached_property
    def names(self) -> Names:
        """What classes and tasks are called."""
        return Names.of(self.manifest)

    @cached_property
    def answers(self) -> dict[int, Answered]:
        """Task from 0 -> what was said of each test image after it."""
        return read_all(self.folder)

    @property
    def last(self) -> Answered | None:
        """The answers after the last task."""
        return self.answers[max(self.answers)] if self.answers else None

    @cached_property
    def paths(self) -> list[str]:
        """The file of each test image, by row; nothing where they are no files."""
        return read_paths(self.folder)

    @cached_property
    def measured(self) -> dict[str, Series]:
        """What was measured beside the matrices, by group and name."""
        with as_written(self.folder / "metrics.jsonl"):
            return load_measured(self.folder)

    @cached_property
    def losses(self) -> dict[str, NDArray[np.float64]]:
        """Each term of the loss over steps, [n, 2]."""
        with as_written(self.folder / "metrics.jsonl"):
            return load_losses(self.folder)

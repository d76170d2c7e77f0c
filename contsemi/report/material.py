"""All that is known of a run, finished or not: what figures and pages are made of."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray

from contsemi.errors import InputError
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

__all__ = ["Material"]

T = TypeVar("T")


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
        try:
            config = _mapping(folder / "config.yaml", from_yaml)
            scenario = config.get("scenario")
            name = scenario.get("name") if isinstance(scenario, dict) else None
            words = (config.get("method", "run"), name)
            matrix = folder / "accuracy_matrix.csv"
            return Material(
                folder,
                " · ".join(str(word) for word in words if word),
                as_matrix(from_csv(matrix.read_text("utf-8"))) if matrix.is_file() else None,
                load_trajectories(folder),
                config,
                _mapping(folder / "manifest.json", json.loads),
                _mapping(folder / "progress.json", json.loads),
            )
        except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
            problem = f"expected files as contsemi writes them, got: {error}"
            raise InputError(str(folder), problem, "wait for the run, or run it again") from error

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
        return self._lines(load_measured)

    @cached_property
    def losses(self) -> dict[str, NDArray[np.float64]]:
        """Each term of the loss over steps, [n, 2]."""
        return self._lines(load_losses)

    def _lines(self, load: Callable[[Path], T]) -> T:
        """What a reader of ``metrics.jsonl`` makes of it."""
        try:
            return load(self.folder)
        except (OSError, ValueError) as error:
            where, fix = str(self.folder / "metrics.jsonl"), "restore the file, or run it again"
            raise InputError(where, str(error), fix) from error


def _mapping(path: Path, parse: Any) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = parse(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is no mapping of keys to values")
    return value

"""A finished run, read back from its output folder."""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contsemi.errors import InputError
from contsemi.metrics.matrix import Matrix, as_matrix
from contsemi.metrics.summary import HEADLINE
from contsemi.metrics.trajectory import Trajectory
from contsemi.records.matrix_csv import from_csv
from contsemi.records.names import Names
from contsemi.records.plain import from_yaml
from contsemi.records.trajectories import load_trajectories
from contsemi.records.written import as_written, mapping, read_written


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """One run as its files tell it.

    Attributes:
        folder: the output folder.
        results: content of ``results.json``.
        class_incremental: accuracy matrix [T, T], fractions, NaN where not measured.
        task_incremental: likewise, within the classes of each task.
        config: content of ``config.yaml``; empty where the file is missing.
        manifest: content of ``manifest.json``; empty where the file is missing.
        trajectories: evaluations inside tasks by kind of accuracy; empty where there were none.
    """

    folder: Path
    results: dict[str, Any]
    class_incremental: Matrix
    task_incremental: Matrix
    config: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    trajectories: dict[str, Trajectory] = field(default_factory=dict)

    @property
    def labels(self) -> str:
        """The label budget in words."""
        ratio = self.results["label_ratio"]
        return ", ".join(map(str, ratio)) if isinstance(ratio, list) else str(ratio)

    @property
    def labelled(self) -> int | None:
        """Images with their label; ``None`` where an old run does not say it."""
        held = self.results.get("labelled")
        number = self.manifest.get("labelled") if held is None else sum(held)
        return number if isinstance(number, int) else None

    @property
    def asked(self) -> int | None:
        """Labels that the budget asks for, where fewer were bought."""
        wanted = sum(self.results.get("labels_asked") or [])
        return wanted if self.labelled is not None and wanted > self.labelled else None

    @property
    def labels_told(self) -> str:
        """The label budget in words, and what was bought where that is less."""
        few = f" ({self.labelled} of {self.asked} bought)" if self.asked is not None else ""
        return f"{self.labels}{few}"

    @property
    def names(self) -> Names:
        """What its classes and tasks are called."""
        return Names.of(self.manifest)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics of the matrices that its results hold."""
        kinds = [self.results[kind] for kind in ("class_incremental", "task_incremental")]
        return [name for name in kinds[0] if name in kinds[1]]

    @property
    def title(self) -> str:
        """Method, scenario, labels and seed in one line."""
        facts = self.results
        return (
            f"{facts['method']} · {facts['scenario']} · labels {self.labels_told} · "
            f"seed {facts['seed']}"
        )


def load_run(folder: str | os.PathLike[str]) -> FinishedRun:
    """Read the output folder of a finished run.

    Raises:
        InputError: the folder is not that of a finished run, or a file in it is damaged.
    """
    path = Path(folder)
    if not (path / "results.json").is_file():
        raise InputError(
            str(path),
            "expected the folder of a finished run, found no results.json in it"
            if path.is_dir()
            else "there is no such folder",
            "give the folder of a run that came to its end",
        )
    results = read_written(path / "results.json", _results)
    matrices = [
        read_written(path / f"accuracy_matrix{kind}.csv", lambda text: as_matrix(from_csv(text)))
        for kind in ("", "_task_incremental")
    ]
    with as_written(path / "metrics.jsonl"):
        trajectories = load_trajectories(path)
    return FinishedRun(
        folder=path,
        results=results,
        class_incremental=matrices[0],
        task_incremental=matrices[1],
        config=read_written(path / "config.yaml", mapping(from_yaml), missing={}),
        manifest=read_written(path / "manifest.json", mapping(json.loads), missing={}),
        trajectories=trajectories,
    )


def _results(text: str) -> dict[str, Any]:
    """Check what the report reads, so that a damaged file is one line and not a traceback."""
    value = mapping(json.loads)(text)
    for key in ("method", "scenario", "seed", "label_ratio", "memory_bytes", "seconds"):
        if key not in value:
            raise ValueError(f"key {key!r} is missing")
    for kind in ("class_incremental", "task_incremental"):
        summary = value.get(kind)
        for name in (*HEADLINE, *(summary if isinstance(summary, dict) else ())):
            if not isinstance(summary, dict) or not _number_or_none(summary.get(name, "")):
                raise ValueError(f"{kind}.{name} is not a number or null")
    for key in ("memory_bytes", "seconds", "images_per_second"):
        if not _number_or_none(value.setdefault(key, None)):
            raise ValueError(f"{key} is not a number or null")
    for key in ("labelled", "labels_asked"):
        if not all(isinstance(each, int) for each in value.get(key) or ()):
            raise ValueError(f"{key} is not a list of whole numbers")
    if not isinstance(value["seed"], int):
        raise ValueError("seed is not a whole number")
    predictors = value.get("predictors") or {}
    if not isinstance(predictors, dict) or not all(map(_numbers, predictors.values())):
        raise ValueError("predictors are not a table of numbers")
    return value


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_number_or_none, value.values()))


def _number_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))

"""The evaluations inside tasks, read back from ``metrics.jsonl``."""

import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from contsemi.metrics.trajectory import Trajectory, as_trajectory

__all__ = ["KINDS", "load_trajectories"]

KINDS = ("class_incremental", "task_incremental")


def load_trajectories(folder: str | os.PathLike[str]) -> dict[str, Trajectory]:
    """The curve of each task over optimiser steps, by kind of accuracy.

    Args:
        folder: of a run, finished or not; a last line that is being written is left out.

    Returns:
        ``class_incremental`` and ``task_incremental``; empty where nothing was evaluated inside
        tasks.

    Raises:
        ValueError: ``metrics.jsonl`` is damaged.
    """
    path = Path(folder) / "metrics.jsonl"
    if not path.is_file():
        return {}
    cells: dict[str, dict[tuple[int, int], dict[int, float]]] = defaultdict(dict)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            # Most lines are losses; only those of evaluations are parsed.
            if '"trace/' not in line or not line.endswith("\n"):
                continue
            entry = json.loads(line)
            try:
                _, kind, task = entry["name"].split("/")
                when, column = (int(entry["step"]), int(entry["task"]) - 1), int(task[5:]) - 1
                value = np.nan if entry["value"] is None else float(entry["value"])
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"no line of an evaluation: {line[:80]!r}") from error
            if kind in KINDS and column >= 0:
                cells[kind].setdefault(when, {})[column] = value
    return {kind: _trajectory(cells[kind]) for kind in KINDS if cells[kind]}


def _trajectory(cells: dict[tuple[int, int], dict[int, float]]) -> Trajectory:
    tasks = 1 + max(max(max(row), task) for (_, task), row in cells.items())
    accuracy = np.full((len(cells), tasks), np.nan)
    for index, row in enumerate(cells.values()):
        accuracy[index, list(row)] = list(row.values())
    steps, training = np.array(list(cells)).T
    return as_trajectory(steps, training, accuracy)

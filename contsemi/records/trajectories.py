"""The evaluations inside tasks, read back from ``metrics.jsonl``."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from contsemi.metrics.trajectory import Trajectory, as_trajectory
from contsemi.records.lines import MOST_TASKS, entries

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
    cells: dict[str, dict[tuple[int, int], dict[int, float]]] = defaultdict(dict)
    for entry in entries(Path(folder), "trace"):
        kind, _, column = entry.name.partition("/task_")
        if not column.isdecimal() or not 1 <= int(column) <= MOST_TASKS:
            raise ValueError(f"no line of an evaluation: trace/{entry.name}"[:80])
        value = np.nan if entry.value is None else entry.value
        if not (np.isnan(value) or 0 <= value <= 1):
            raise ValueError(f"an accuracy outside of 0 to 1 at step {entry.step}: {value:g}")
        if kind in KINDS:
            cells[kind].setdefault((entry.step, entry.task), {})[int(column) - 1] = value
    return {kind: _trajectory(cells[kind]) for kind in KINDS if cells[kind]}


def _trajectory(cells: dict[tuple[int, int], dict[int, float]]) -> Trajectory:
    tasks = 1 + max(max(max(row), task) for (_, task), row in cells.items())
    accuracy = np.full((len(cells), tasks), np.nan)
    for index, row in enumerate(cells.values()):
        accuracy[index, list(row)] = list(row.values())
    steps, training = np.array(list(cells)).T
    return as_trajectory(steps, training, accuracy)

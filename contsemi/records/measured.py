"""Probes, calibration and pseudo-labels after each task, read back from ``metrics.jsonl``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from contsemi.metrics.backward_transfer import backward_transfer
from contsemi.metrics.forgetting import forgetting
from contsemi.metrics.forward_transfer import forward_transfer
from contsemi.metrics.matrix import Undefined, mean_of
from contsemi.metrics.probes.few_shot import NONE_LEFT
from contsemi.records.lines import entries

GROUPS = ("probe", "calibration", "pseudo_labels", "labels", "hierarchy", "truth", "discovery")
_OF_EACH_TASK = ("pseudo_labels", "labels")

Series = dict[str, dict[int, float | Undefined]]
"""Name of a number -> task from 0, or -1 before training -> its value then."""


def load_measured(folder: Path) -> dict[str, Series]:
    """Every number of :data:`GROUPS`, by its group and name.

    Args:
        folder: of a run, finished or not; a last line that is being written is left out.

    Raises:
        ValueError: ``metrics.jsonl`` is damaged.
    """
    found: dict[str, Series] = {}
    for entry in entries(folder, *GROUPS):
        number = Undefined(entry.reason) if entry.value is None else entry.value
        found.setdefault(entry.group, {}).setdefault(entry.name, {})[entry.task] = number
    return found


def summarise_measured(
    measured: Mapping[str, Series], tasks: int
) -> dict[str, dict[str, float | Undefined]]:
    """The numbers after the last task; of labels, given ones and unseen classes the means.

    Args:
        measured: of :func:`load_measured`.
        tasks: T.
    """
    found: dict[str, dict[str, float | Undefined]] = {}
    for group, series in measured.items():
        if group in _OF_EACH_TASK:
            found[group] = {name: _mean(values) for name, values in series.items()}
            continue
        found[group] = {
            name: values[tasks - 1]
            for name, values in series.items()
            if tasks - 1 in values and "/" not in name
        }
        for name in [name for name in series if name.startswith("few_shot_unseen")]:
            # After the last task there is none.
            early = {t: v for t, v in series[name].items() if t < tasks - 1}
            found[group][name] = _mean({t: v for t, v in early.items() if v != NONE_LEFT} or early)
        if any(name.startswith("knn_within/") for name in series):
            found[group] |= _within(series, tasks)
    return found


def _mean(values: Mapping[int, float | Undefined]) -> float | Undefined:
    return mean_of(values.values()) if values else Undefined("every class has been learned")


def _within(series: Series, tasks: int) -> dict[str, float | Undefined]:
    """Transfer and forgetting of the features, by k-NN among the classes of each task."""
    rows = np.full((tasks + 1, tasks), np.nan)
    for name, values in series.items():
        if name.startswith("knn_within/task_"):
            for task, value in values.items():
                if not isinstance(value, Undefined):
                    rows[task + 1, int(name.rpartition("_")[2]) - 1] = value
    untrained, matrix = rows[0], rows[1:]
    learned = np.where(np.tri(tasks, dtype=bool), matrix, np.nan)
    return {
        "knn_within": float(matrix[-1].mean()),
        "knn_within_forgetting": forgetting(learned),
        "knn_within_backward_transfer": backward_transfer(learned),
        "knn_within_forward_transfer": forward_transfer(matrix, untrained),
    }

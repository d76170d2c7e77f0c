"""``forgetting``: the accuracy of each task over the stream, and the matrix."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.matrix import Matrix, Undefined
from contsemi.records.names import Names
from contsemi.report.figures.drawing import SMALL, Drawing
from contsemi.report.figures.ends import FEW, name_ends
from contsemi.report.figures.heat import heat
from contsemi.report.figures.palette import INK, task_colours
from contsemi.report.material import Material


def drawing(material: Material) -> Drawing | None:
    """Curves on the left, heat map on the right."""
    if material.matrix is None:
        return None
    return Drawing(
        "forgetting",
        "Forgetting",
        "Left: each line is one task, named at its end; dashed: the mean over the tasks so far. "
        "Right: the same numbers as a matrix. Class-incremental: the greatest score over all "
        "classes seen.",
        (
            partial(_curves, matrix=material.matrix, names=material.names),
            partial(_matrix, matrix=material.matrix, names=material.names),
        ),
        head=material.title,
        widths=(1.35, 1),
    )


def _curves(axes: Axes, matrix: Matrix, names: Names) -> None:
    tasks = len(matrix)
    after, few = np.arange(1, tasks + 1), tasks <= FEW
    ends: dict[str, tuple[float, float, str]] = {}
    for task, colour in enumerate(task_colours(tasks)):
        line = 100 * matrix[task:, task]
        thin: dict[str, Any] = {} if few else {"linewidth": 0.9, "markersize": 2.0}
        axes.plot(after[task:], line, color=colour, marker="o", **thin)
        if (known := np.flatnonzero(~np.isnan(line))).size:  # a run may not be finished
            end = int(known[-1])
            name = names.short(task) if few else str(task + 1)
            ends[name] = (after[task + end], line[end], colour)
    averages = [average_accuracy(matrix, task) for task in range(tasks)]
    means = [np.nan if isinstance(mean, Undefined) else 100 * mean for mean in averages]
    if tasks > 1:
        axes.plot(after, means, color=INK, linewidth=1.6, linestyle=(0, (3, 1.5)), zorder=5)
        ends["mean"] = (tasks, means[-1], INK)
    name_ends(axes, ends, tasks + 0.06 * max(tasks, 2))
    axes.set_xlim(0.7, tasks + 0.3)
    axes.set_ylim(-2, 102)
    axes.set_xticks([tick + 1 for tick in _ticks(tasks)])
    axes.set_xlabel("after task")
    axes.set_ylabel("class-incremental accuracy [%]")
    axes.set_title("accuracy on each task")
    axes.grid(axis="y")


def _ticks(tasks: int) -> list[int]:
    """Indices of at most ten tasks to be named on an axis."""
    step = -(-tasks // FEW)
    return list(range(step - 1, tasks, step))


def _matrix(axes: Axes, matrix: Matrix, names: Names) -> None:
    tasks = len(matrix)
    heat(axes, matrix, "accuracy [%]")
    if tasks <= FEW:
        for row, column in zip(*np.nonzero(~np.isnan(matrix)), strict=True):
            value = f"{100 * matrix[row, column]:.0f}"
            size = SMALL if tasks < FEW else 6.5
            axes.text(column, row, value, ha="center", va="center", fontsize=size)
    ticks = _ticks(tasks)
    words = [names.short(tick) if tasks <= FEW else str(tick + 1) for tick in ticks]
    turned = max(map(len, words)) > 2
    axes.set_xticks(ticks, words, rotation=90 if turned else 0)
    axes.set_yticks(ticks, [str(tick + 1) for tick in ticks])
    axes.set_xlabel("test task")
    axes.set_ylabel("after task")
    axes.set_title("accuracy matrix")

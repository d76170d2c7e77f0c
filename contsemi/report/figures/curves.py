"""``forgetting.png`` and ``.svg``: the accuracy of each task over the stream, and the matrix."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.matrix import Matrix, Undefined
from contsemi.records.finished import Run
from contsemi.report.figures.palette import HEAT, task_colours
from contsemi.report.figures.render import DOTS_PER_INCH, INCHES, SMALL, TYPE, tidy
from contsemi.report.figures.spread import spread
from contsemi.report.words import one_line

__all__ = ["figure"]

# From the end of a curve to its label, as a share of the stream.
LEADER = 0.06
# More numbers than this do not fit into the cells.
NUMBERED_TASKS = 10


def figure(run: Run) -> Figure:
    """Curves on the left, heat map on the right; no state of pyplot is touched."""
    layout = ConstrainedLayoutEngine(wspace=0.06)
    drawn = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout=layout)
    left, right = drawn.subplots(1, 2, width_ratios=(1.35, 1))
    drawn.suptitle(one_line(run.title), fontsize=9, fontweight="bold", parse_math=False)
    _curves(left, run.class_incremental)
    _heat_map(right, run.class_incremental)
    tidy(drawn)
    return drawn


def _curves(axes: Axes, matrix: Matrix) -> None:
    tasks = len(matrix)
    after = np.arange(1, tasks + 1)
    marker = 3.5 if tasks <= NUMBERED_TASKS else 2.0
    for task, colour in enumerate(task_colours(tasks)):
        axes.plot(
            after[task:],
            100 * matrix[task:, task],
            color=colour,
            linewidth=1.2 if tasks <= NUMBERED_TASKS else 0.9,
            marker="o",
            markersize=marker,
        )
    averages = [average_accuracy(matrix, task) for task in range(tasks)]
    means = [np.nan if isinstance(mean, Undefined) else 100 * mean for mean in averages]
    if tasks > 1:
        axes.plot(after, means, color="black", linewidth=1.6, linestyle=(0, (3, 1.5)), zorder=5)
    _labels(axes, matrix, means[-1])

    axes.set_xlim(0.7, tasks + 0.3 + (LEADER + 0.06) * max(tasks, 2))
    axes.set_ylim(-2, 102)
    axes.set_xticks([tick + 1 for tick in _ticks(tasks)])
    axes.set_xlabel("after task", fontsize=TYPE)
    axes.set_ylabel("class-incremental accuracy [%]", fontsize=TYPE)
    axes.set_title("accuracy on each task", fontsize=TYPE)
    axes.grid(axis="y", linewidth=0.4, color="0.85")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _ticks(tasks: int) -> list[int]:
    """Indices of at most ten tasks to be named on an axis."""
    step = -(-tasks // NUMBERED_TASKS)
    return list(range(step - 1, tasks, step))


def _labels(axes: Axes, matrix: Matrix, mean: float) -> None:
    """The number of each task at the end of its curve instead of a legend."""
    tasks = len(matrix)
    ends = {str(task + 1): 100 * matrix[-1, task] for task in range(tasks)} | {"mean": mean}
    ends = {name: end for name, end in ends.items() if not np.isnan(end)}
    if tasks == 1:
        ends.pop("mean", None)
    colours = dict(
        zip([*map(str, range(1, tasks + 1)), "mean"], [*task_colours(tasks), "black"], strict=True)
    )
    size = SMALL if tasks <= NUMBERED_TASKS else 5.5
    places = spread(list(ends.values()), gap=0.62 * size, low=0, high=100)
    for (name, end), place in zip(ends.items(), places, strict=True):
        axes.annotate(
            name,
            xy=(tasks, end),
            xytext=(tasks + LEADER * max(tasks, 2), place),
            fontsize=size,
            fontweight="bold" if name == "mean" else "normal",
            color=colours[name],
            verticalalignment="center",
            arrowprops={
                "arrowstyle": "-",
                "color": colours[name],
                "linewidth": 0.4,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 1,
            },
        )


def _heat_map(axes: Axes, matrix: Matrix) -> None:
    tasks = len(matrix)
    colours = LinearSegmentedColormap.from_list("accuracy", ["white", HEAT])
    image = axes.imshow(100 * matrix, cmap=colours, vmin=0, vmax=100)
    if tasks <= NUMBERED_TASKS:
        for row, column in zip(*np.nonzero(~np.isnan(matrix)), strict=True):
            value = matrix[row, column]
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                fontsize=SMALL if tasks < NUMBERED_TASKS else 6.5,
                color="white" if value > 0.9 else "black",
                horizontalalignment="center",
                verticalalignment="center",
            )
    ticks = _ticks(tasks)
    axes.set_xticks(ticks, [str(tick + 1) for tick in ticks])
    axes.set_yticks(ticks, [str(tick + 1) for tick in ticks])
    axes.set_xlabel("test task", fontsize=TYPE)
    axes.set_ylabel("after task", fontsize=TYPE)
    axes.set_title("accuracy matrix", fontsize=TYPE)
    drawn = axes.get_figure()
    if drawn is not None:
        bar = drawn.colorbar(image, ax=axes, shrink=0.9, pad=0.03)
        bar.set_label("accuracy [%]", fontsize=TYPE)
        bar.ax.tick_params(labelsize=SMALL, length=2, width=0.6)
        bar.outline.set_linewidth(0.6)

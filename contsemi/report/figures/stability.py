"""``stability.png`` and ``.svg``: each task over steps, and the gap after each switch."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from contsemi.metrics.trajectory import Trajectory
from contsemi.records.finished import Run
from contsemi.report.figures.palette import task_colours
from contsemi.report.figures.render import DOTS_PER_INCH, INCHES, SMALL, TYPE
from contsemi.report.figures.spread import spread
from contsemi.report.words import one_line

__all__ = ["stability_figure"]


def stability_figure(run: Run) -> Figure:
    """Class-incremental curves over steps on the left, what each switch did on the right.

    Args:
        run: a run that was evaluated inside its tasks.
    """
    trajectory = run.trajectories["class_incremental"]
    drawn = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine(wspace=0.06))
    left, right = drawn.subplots(1, 2, width_ratios=(1.35, 1))
    drawn.suptitle(one_line(run.title), fontsize=9, fontweight="bold", parse_math=False)
    _over_steps(left, trajectory)
    _after_switches(right, trajectory)
    for axes in (left, right):
        axes.tick_params(labelsize=SMALL, length=2.5, width=0.6)
        axes.grid(axis="y", linewidth=0.4, color="0.85")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _over_steps(axes: Axes, trajectory: Trajectory) -> None:
    colours = task_colours(trajectory.tasks)
    for task, colour in enumerate(colours):
        axes.plot(trajectory.steps, 100 * trajectory.accuracy[:, task], color=colour, linewidth=1.1)
    for task in range(trajectory.tasks - 1):
        end = trajectory.end_of(task)
        if end is not None:
            axes.axvline(trajectory.steps[end], color="0.6", linewidth=0.6, linestyle=":")
    ends = {
        task: 100 * value
        for task, value in enumerate(trajectory.accuracy[-1])
        if not np.isnan(value)
    }
    places = spread(list(ends.values()), gap=5, low=0, high=100)
    last = int(trajectory.steps[-1])
    for task, place in zip(ends, places, strict=True):
        axes.text(
            1.02 * last,
            place,
            str(task + 1),
            color=colours[task],
            fontsize=SMALL,
            verticalalignment="center",
        )
    axes.set_ylim(-2, 102)
    axes.set_xlim(0, 1.08 * last)
    axes.set_xlabel("optimiser steps (dotted: a task begins)", fontsize=TYPE)
    axes.set_ylabel("class-incremental accuracy [%]", fontsize=TYPE)
    axes.set_title("accuracy on each task", fontsize=TYPE)


def _after_switches(axes: Axes, trajectory: Trajectory) -> None:
    """The mean change of the tasks before a switch, one line a switch."""
    colours = task_colours(trajectory.tasks)
    for switch in range(1, trajectory.tasks):
        end, during = trajectory.end_of(switch - 1), trajectory.while_training(switch)
        if end is None or not during.size:
            continue
        rows = np.concatenate([[end], during])
        change = trajectory.accuracy[rows, :switch] - trajectory.accuracy[end, :switch]
        axes.plot(
            trajectory.steps[rows] - trajectory.steps[end],
            100 * change.mean(axis=1),
            color=colours[switch],
            linewidth=1.1,
            label=f"task {switch + 1} begins",
        )
    axes.axhline(0, color="0.4", linewidth=0.6)
    if trajectory.tasks > 1:
        axes.legend(fontsize=SMALL - 0.5, frameon=False)
    axes.set_xlabel("optimiser steps since the switch", fontsize=TYPE)
    axes.set_ylabel("change of earlier tasks [points]", fontsize=TYPE)
    axes.set_title("stability gap", fontsize=TYPE)

"""``stability``: each task over steps, and the gap after each switch."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from contsemi.metrics.trajectory import Trajectory
from contsemi.records.names import Names
from contsemi.report.figures.drawing import Drawing
from contsemi.report.figures.ends import FEW, name_ends
from contsemi.report.figures.palette import SOFT, task_colours
from contsemi.report.material import Material
from contsemi.report.words import one_line


def drawing(material: Material) -> Drawing | None:
    """Class-incremental curves over steps on the left, what each switch did on the right."""
    trajectory = material.trajectories.get("class_incremental")
    if trajectory is None:
        return None
    known: dict[str, Any] = {"trajectory": trajectory, "names": material.names}
    switched = trajectory.tasks > 1
    return Drawing(
        "stability",
        "Inside tasks",
        "Class-incremental accuracy on a fixed part of the test images while training. Left: "
        "dotted lines stand where a task begins. Right: the mean change of the earlier tasks from "
        "the moment when another begins.",
        (partial(_over_steps, **known), *([partial(_after_switches, **known)] if switched else [])),
        head=material.title,
        widths=(1.35, 1) if switched else None,
    )


def _over_steps(axes: Axes, trajectory: Trajectory, names: Names) -> None:
    last = int(trajectory.steps[-1])
    ends: dict[str, tuple[float, float, str]] = {}
    for task, colour in enumerate(task_colours(trajectory.tasks)):
        line = 100 * trajectory.accuracy[:, task]
        axes.plot(trajectory.steps, line, color=colour, linewidth=1.1)
        name = names.short(task) if trajectory.tasks <= FEW else str(task + 1)
        ends[name] = (last, line[-1], colour)
    for task in range(trajectory.tasks - 1):
        end = trajectory.end_of(task)
        if end is not None:
            axes.axvline(trajectory.steps[end], color=SOFT, linewidth=0.6, linestyle=":")
    name_ends(axes, ends, 1.06 * max(last, 1))
    axes.set_ylim(-2, 102)
    axes.set_xlim(0, max(last, 1) * 1.02)
    axes.set_xlabel("optimiser steps (dotted: a task begins)")
    axes.set_ylabel("class-incremental accuracy [%]")
    axes.set_title("accuracy on each task")
    axes.grid(axis="y")


def _after_switches(axes: Axes, trajectory: Trajectory, names: Names) -> None:
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
            label=one_line(names.short(switch)),
        )
    axes.axhline(0, color=SOFT, linewidth=0.6)
    if 1 < trajectory.tasks <= FEW:
        axes.legend(title="a task begins")
    axes.set_xlabel("optimiser steps since the switch")
    axes.set_ylabel("change of earlier tasks [points]")
    axes.set_title("stability gap")
    axes.grid(axis="y")

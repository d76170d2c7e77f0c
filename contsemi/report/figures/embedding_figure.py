"""``embeddings.png`` and ``.svg``: test images and classes in the plane, old and new ones."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from contsemi.metrics.answers import Answered
from contsemi.metrics.projection import project
from contsemi.report.figures.palette import task_colours
from contsemi.report.figures.render import DOTS_PER_INCH, INCHES, SMALL, TYPE, tidy

__all__ = ["embedding_figure"]

PANELS = 3


def embedding_figure(answers: Mapping[int, Answered]) -> Figure | None:
    """The features after the first task, in the middle and at the end, each by its own PCA.

    A colour is the task of an image's class; a star is what stands for a class (a prototype or a
    mean). Classes of the newest task are drawn dark, those of earlier ones pale.

    Args:
        answers: task from 0 -> answers after it.

    Returns:
        The figure, or ``None`` where no embeddings were written.
    """
    written = [task for task, each in answers.items() if len(each.embeddings) > 1]
    if not written:
        return None
    spread = np.linspace(0, len(written) - 1, min(PANELS, len(written)))
    shown = [written[round(place)] for place in spread.tolist()]
    arrival = _arrivals(answers)
    colours = task_colours(1 + int(arrival.max(initial=0)))
    drawn = Figure(
        figsize=(INCHES[0], 2.9), dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine(wspace=0.04)
    )
    panels = np.atleast_1d(drawn.subplots(1, len(shown)))
    for axes, task in zip(panels, shown, strict=True):
        _panel(axes, answers[task], arrival, task, colours)
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=4, color=colour, label=str(task + 1))
        for task, colour in enumerate(colours)
    ]
    handles.append(
        Line2D([], [], marker="*", linestyle="", color="0.3", markersize=7, label="class")
    )
    drawn.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 11),
        fontsize=SMALL,
        frameon=False,
        title="task",
        title_fontsize=SMALL,
    )
    tidy(drawn)
    return drawn


def _arrivals(answers: Mapping[int, Answered]) -> NDArray[np.int64]:
    """The task in which each column was first seen, [C]."""
    found: dict[int, int] = {}
    for task, each in sorted(answers.items()):
        for column in np.unique(each.targets).tolist():
            found.setdefault(column, task)
    return np.array([found.get(column, 0) for column in range(1 + max(found, default=-1))])


def _panel(
    axes: Axes, answered: Answered, arrival: NDArray[np.int64], task: int, colours: list[str]
) -> None:
    points, centres, shares = project(answered.embeddings, answered.centres)
    tasks = arrival[answered.targets[answered.embedded]]
    for old in (True, False):
        chosen = (tasks < task) == old
        axes.scatter(
            points[chosen, 0],
            points[chosen, 1],
            c=[colours[each] for each in tasks[chosen]],
            s=5,
            alpha=0.35 if old else 0.8,
            linewidths=0,
        )
    for column, place in enumerate(centres):
        axes.plot(
            *place,
            marker="*",
            markersize=9,
            color=colours[arrival[column]] if column < len(arrival) else "0.5",
            markeredgecolor="black",
            markeredgewidth=0.6,
            zorder=5,
        )
    axes.set_title(f"after task {task + 1}", fontsize=TYPE)
    for name, share in zip("xy", shares or (), strict=True):
        label = f"component {'xy'.index(name) + 1} ({100 * share:.0f}% of variance)"
        axes.set(**{f"{name}label": label})
        getattr(axes, f"{name}axis").label.set_fontsize(SMALL)
    axes.set_xticks([])
    axes.set_yticks([])

"""``embeddings``: test images and classes in the plane, old and new ones."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from contsemi.metrics.answers import Answered
from contsemi.metrics.by_class import by_class
from contsemi.metrics.projection import project
from contsemi.records.names import Names
from contsemi.report.figures.drawing import SMALL, Drawing
from contsemi.report.figures.ends import name_ends
from contsemi.report.figures.palette import INK, SOFT, task_colours
from contsemi.report.material import Material
from contsemi.report.words import one_line

PANELS = 3
NAMED = 25  # stars that have room for a name
LEGEND = 6  # tasks


def drawing(material: Material) -> Drawing | None:
    """The features after the first task, in the middle and at the end, each by its own PCA."""
    written = [task for task, each in material.answers.items() if len(each.embeddings) > 1]
    if not written:
        return None
    spread = np.linspace(0, len(written) - 1, min(PANELS, len(written)))
    found = by_class(material.answers)
    arrival = np.array(found.tasks)[found.arrival]
    return Drawing(
        "embeddings",
        "Embeddings",
        "Features of some test images in the plane of their greatest variance; stars stand for "
        "classes (a prototype or a mean), pale points belong to earlier tasks.",
        tuple(
            partial(
                _plane,
                answered=material.answers[task],
                arrival=arrival,
                task=task,
                names=material.names,
            )
            for task in (written[round(place)] for place in spread.tolist())
        ),
        height=3.2,
    )


def _plane(
    axes: Axes, answered: Answered, arrival: NDArray[np.int64], task: int, names: Names
) -> None:
    points, centres, shares = project(answered.embeddings, answered.centres)
    colours = task_colours(1 + int(arrival.max(initial=0)))
    tasks = arrival[answered.targets[answered.embedded]]
    for old in (True, False):
        chosen = (tasks < task) == old
        shades = [colours[each] for each in tasks[chosen]]
        x, y = points[chosen].T
        axes.scatter(x, y, s=5, c=shades, alpha=0.35 if old else 0.8, linewidths=0)
    stars: dict[str, tuple[float, float, str]] = {}
    for column, place in enumerate(centres):
        colour = colours[arrival[column]] if column < len(arrival) else SOFT
        edge: dict[str, Any] = {"markeredgecolor": INK, "markeredgewidth": 0.5}
        axes.plot(*place, color=colour, zorder=5, marker="*", markersize=8, **edge)
        stars[names.of_class(column)[:14]] = (*place.tolist(), colour)
    if len(stars) <= NAMED:
        (_, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        axes.set_xlim(axes.get_xlim())
        name_ends(axes, stars, right + 0.02 * (right - axes.get_xlim()[0]), low, high)
    if (present := 1 + int(tasks.max(initial=0))) <= LEGEND:
        dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4}
        handles = [Line2D([], [], color=colours[each], **dot) for each in range(present)]
        words = [one_line(names.short(each)) for each in range(present)]
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.08)}
        axes.legend(handles, words, ncols=2, fontsize=6, title="task", **below)
    axes.set_title(f"after task {task + 1}")
    axes.set_xlabel(f"component 1 ({100 * shares[0]:.0f}%)", fontsize=SMALL)
    axes.set_ylabel(f"component 2 ({100 * shares[1]:.0f}%)", fontsize=SMALL)
    axes.spines[["top", "right"]].set_visible(True)
    axes.set_xticks([])
    axes.set_yticks([])

"""``by_class``: the accuracy on each class after the last task, and just after its own."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes

from contsemi.metrics.by_class import ByClass, by_class
from contsemi.records.names import Names
from contsemi.report.figures.drawing import SMALL, Drawing
from contsemi.report.figures.palette import INK, task_colours
from contsemi.report.material import Material
from contsemi.report.words import one_line

NAMED = 40  # classes whose names have room at an axis


def drawing(material: Material) -> Drawing | None:
    """Bars in order of arrival, coloured by task; a mark where the class stood once learned."""
    if not material.answers:
        return None
    caption = (
        "Bars: accuracy on the test images of each class after the last task, coloured by the task "
        "that brought it. Marks: the same just after that task; the difference was forgotten."
    )
    panels = (partial(_bars, found=by_class(material.answers), names=material.names),)
    return Drawing("by_class", "Accuracy by class", caption, panels, head=material.title)


def _bars(axes: Axes, found: ByClass, names: Names) -> None:
    columns = np.arange(len(found.accuracy))
    colours = task_colours(1 + int(found.arrival.max(initial=0)))
    heights = 100 * np.nan_to_num(found.accuracy[:, -1])
    axes.bar(columns, heights, 0.8, color=[colours[task] for task in found.arrival], alpha=0.75)
    first = 100 * found.accuracy[columns, found.arrival]
    axes.plot(columns, first, color=INK, linestyle="", marker="_", markersize=5)
    axes.set_ylim(0, 103)
    if len(columns) <= NAMED:
        size = SMALL if len(columns) <= 20 else 5.0
        words = [one_line(names.of_class(column))[:18] for column in columns.tolist()]
        turned = 90 if max(map(len, words), default=0) > 2 else 0
        axes.set_xticks(columns, words, rotation=turned, fontsize=size)
    axes.set_xlabel("class, in order of arrival")
    axes.set_ylabel("class-incremental accuracy [%]")
    axes.set_title("accuracy on each class after the last task")
    axes.grid(axis="y")

"""``stream``: which classes, labels and kinds of unlabelled images come when."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from contsemi.records.names import Names
from contsemi.records.written import as_written
from contsemi.report.figures.drawing import SMALL, Drawing
from contsemi.report.figures.heat import heat
from contsemi.report.figures.palette import OKABE_ITO
from contsemi.report.material import Material
from contsemi.report.words import one_line

TOLD = ("images", "labels", "novel", "kinds")
NAMED = 40  # classes whose names and labels fit
MOST = 1 << 53  # images: a count that a figure has room for
KINDS = ("current", "past", "future", "novel", "foreign")


def drawing(material: Material) -> Drawing | None:
    """Classes and their labels by task on the left, the kinds of unlabelled images on the right."""
    tasks = material.manifest.get("tasks")
    if not isinstance(tasks, list) or not tasks or not all(map(_is_told, tasks)):
        return None
    with as_written(material.folder / "manifest.json"):
        _check(tasks)
    if _is_plain(tasks):
        return None  # new classes in each task and nothing else: the other figures say it
    counts = np.array([task["images"] for task in tasks], float).T
    labels = np.array([task["labels"] for task in tasks], int).T
    names = _names(material.names, len(labels), tasks[0]["novel"])
    classes = partial(_classes, counts=counts, labels=labels, names=names)
    return Drawing(
        "stream",
        "The stream",
        "Left: in which task the images of each class come, and how many of them have a label "
        "(a number; none where there is none). Right: of which kind the unlabelled images of each "
        "task are; no method is told.",
        (classes, partial(_kinds, [task["kinds"] for task in tasks])),
        head=material.title,
        widths=(1.25, 1),
        height=max(2.6, 0.8 + 0.13 * min(len(names), NAMED)),
    )


def _is_told(task: Any) -> bool:
    """Whether the manifest says of a task what comes in it; those of older runs do not."""
    return isinstance(task, dict) and set(TOLD) <= set(task)


def _check(tasks: Sequence[Mapping[str, Any]]) -> None:
    """Raises ``ValueError`` where what tasks say of their images is no table of counts."""
    first = tasks[0]
    for number, task in enumerate(tasks, start=1):
        images, labels, novel, kinds = (task[key] for key in TOLD)
        if not all(isinstance(each, list) for each in (images, labels, novel)):
            raise ValueError(f"the images, labels and novel classes of task {number} are no lists")
        if not isinstance(kinds, dict):
            raise ValueError(f"the kinds of images of task {number} are no numbers by name")
        if not labels or len(labels) != len(first["labels"]) or novel != first["novel"]:
            raise ValueError(f"task {number} has other classes than the first")
        if len(images) != len(labels) + len(novel):
            raise ValueError(f"task {number} has images of {len(images)} classes")
        if not all(type(n) is int and 0 <= n < MOST for n in (*images, *labels, *kinds.values())):
            raise ValueError(f"a count of images of task {number} is none")


def _is_plain(tasks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each class comes once, and tasks have labels and images of their classes alone."""
    come = np.array([task["images"] for task in tasks]) > 0
    others = [n for task in tasks for kind, n in task["kinds"].items() if kind != "current"]
    labelled = all(sum(task["labels"]) > 0 for task in tasks)
    once = bool((come.sum(axis=0) <= 1).all())
    return once and labelled and not any(others) and not tasks[0]["novel"]


def _names(names: Names, columns: int, novel: Sequence[Any]) -> list[str]:
    known = [one_line(names.of_class(column))[:18] for column in range(columns)]
    return known + [f"{one_line(str(name))[:18]} (novel)" for name in novel]


def _classes(
    axes: Axes, counts: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[str]
) -> None:
    heat(axes, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), "of the class [%]")
    axes.set_aspect("auto")
    step = -(-len(names) // NAMED)
    shown = range(0, len(names), step)
    axes.set_yticks(shown, [names[row] for row in shown], fontsize=min(SMALL, 6.0))
    axes.set_xticks(range(counts.shape[1]), [str(n + 1) for n in range(counts.shape[1])])
    if step == 1 and counts.shape[1] <= 20:
        for row, task in np.argwhere(labels > 0):
            axes.text(task, row, str(labels[row, task]), ha="center", va="center", fontsize=5.5)
    axes.set_xlabel("task")
    axes.set_title("images of each class, and their labels")


def _kinds(kinds: Sequence[Mapping[str, int]], axes: Axes) -> None:
    places, below = np.arange(1, len(kinds) + 1), np.zeros(len(kinds))
    for kind, colour in zip(KINDS, OKABE_ITO, strict=False):
        heights = np.array([float(task.get(kind, 0)) for task in kinds])
        if heights.any():
            axes.bar(places, heights, 0.75, bottom=below, color=colour, label=kind)
            below += heights
    axes.set_xticks(places if len(places) <= 20 else places[::5])
    axes.set_ylim(0, 1.25 * below.max(initial=1))
    axes.legend(ncols=3, loc="upper center", columnspacing=1.0, handlelength=1.2)
    axes.set_xlabel("task")
    axes.set_ylabel("unlabelled images")
    axes.set_title("kinds of unlabelled images")

"""``truth``: where accuracy is lost after each task, one share upon the other."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined
from contsemi.records.measured import Series
from contsemi.report.figures.drawing import Drawing
from contsemi.report.figures.palette import FAINT, INK, task_colours
from contsemi.report.material import Material

# Each course of the moments with more of the truth in it, and what it gains over the one before.
STEPS = {
    "as_it_is": "as it is",
    "with_labels": "labels",
    "with_labels_and_drift": "drift",
    "with_statistics": "other statistics",
}
# Each truth alone; one that is on both sides has one colour.
ALONE = {
    "with_labels": "labels",
    "with_drift": "drift",
    "with_statistics": "means and covariance",
    "with_means": "means",
    "with_covariance": "covariance",
}


def drawing(material: Material) -> Drawing | None:
    """Bars of the shares of 100 % on the left, of the gains of single truths on the right."""
    values = {name: _row(material.measured.get("truth", {}), name) for name in {**STEPS, **ALONE}}
    if not values["as_it_is"].size:
        return None
    return Drawing(
        "truth",
        "What the truth would add",
        "Class-incremental accuracy of the class moments after each task. Left: as it is, and what "
        "true labels of each task's images, true drift, true statistics of all training images and "
        "better features would add, in this order; below a share that would take something away it "
        "is hatched. Right: each truth alone.",
        (partial(_stacked, values=values), partial(_alone, values=values)),
        head=material.title,
    )


def _row(series: Series, name: str) -> NDArray[np.float64]:
    found = series.get(name, {})
    numbers = [found[task] for task in sorted(found)]
    return np.array([100 * x for x in numbers if not isinstance(x, Undefined)])


def _stacked(axes: Axes, values: dict[str, NDArray[np.float64]]) -> None:
    """Shares of 100 %, from the run's own accuracy upwards."""
    levels = [values[name] for name in STEPS]
    levels.append(np.full_like(levels[0], 100))
    tasks = 1 + np.arange(len(levels[0]))
    colours = task_colours(1 + len(ALONE))[: len(STEPS)]
    axes.bar(tasks, levels[0], color=colours[0], label="as it is")
    names = [*list(STEPS.values())[1:], "features"]
    for low, high, name, colour in zip(
        levels[:-1], levels[1:], names, [*colours[1:], FAINT], strict=True
    ):
        gain = high - low
        axes.bar(tasks, np.maximum(gain, 0), bottom=low, color=colour, label=name)
        if (gain < 0).any():
            loss = np.minimum(gain, 0)
            axes.bar(
                tasks, loss, bottom=low, color="none", edgecolor=INK, hatch="////", linewidth=0
            )
    axes.set_xticks(tasks)
    axes.set_ylim(0, 100)
    axes.set_xlabel("tasks learned")
    axes.set_ylabel("class-incremental accuracy [%]")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)


def _alone(axes: Axes, values: dict[str, NDArray[np.float64]]) -> None:
    """What each truth alone would add."""
    own = values["as_it_is"]
    tasks = 1 + np.arange(len(own))
    colours = task_colours(1 + len(ALONE))[1:]
    for (name, said), colour in zip(ALONE.items(), colours, strict=True):
        axes.plot(tasks, values[name] - own, color=colour, marker="o", label=said)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_xticks(tasks)
    axes.set_xlabel("tasks learned")
    axes.set_ylabel("gain [points]")
    axes.grid(axis="y")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)

"""``classes``: which classes are taken for which, and how sure that was."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes

from contsemi.metrics.answers import Answered
from contsemi.metrics.matrix import Undefined
from contsemi.records.names import Names
from contsemi.report.figures.drawing import SMALL, Drawing
from contsemi.report.figures.heat import heat
from contsemi.report.figures.palette import HEAT, SOFT
from contsemi.report.material import Material
from contsemi.report.words import one_line

NAMED = 30  # classes whose names fit at an axis


def drawing(material: Material) -> Drawing | None:
    """The confusion matrix on the left, the reliability diagram on the right."""
    if (last := material.last) is None:
        return None
    return Drawing(
        "classes",
        "Confusion and calibration",
        "Left: which classes are taken for which after the last task. Right: how often "
        "predictions of one confidence are right; on the dashed line they would be as often "
        "right as they claim.",
        (partial(_confusion, answered=last, names=material.names), partial(_reliability, last)),
        head=material.title,
        widths=(1.15, 1),
        height=3.5,
    )


def _confusion(axes: Axes, answered: Answered, names: Names) -> None:
    counts = answered.confusion()
    heat(axes, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), "of the true class [%]")
    step = -(-len(counts) // NAMED)
    shown = range(0, len(counts), step)
    size = SMALL if len(shown) <= 15 else 5.0
    words = [one_line(names.of_class(column))[:18] for column in shown]
    turned = 90 if max(map(len, words), default=0) > 2 else 0
    axes.set_xticks(shown, words, rotation=turned, fontsize=size)
    axes.set_yticks(shown, words, fontsize=size)
    axes.set_xlabel("predicted class, in order of arrival")
    axes.set_ylabel("true class")
    axes.set_title("confusion after the last task")


def _reliability(answered: Answered, axes: Axes) -> None:
    found = answered.reliability()
    edges = np.linspace(0, 100, len(found.accuracy) + 1)
    heights = np.nan_to_num(100 * found.accuracy)
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=HEAT, alpha=0.75)
    axes.plot([0, 100], [0, 100], color=SOFT, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set_aspect("equal")
    axes.set_xlabel("confidence [%]")
    axes.set_ylabel("accuracy of these images [%]")
    error = found.error
    known = "" if isinstance(error, Undefined) else f" (expected error {100 * error:.1f}%)"
    axes.set_title(f"calibration{known}")

"""``classes.png`` and ``.svg``: which classes are taken for which, and how sure that was."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from contsemi.metrics.answers import Answered
from contsemi.metrics.matrix import Undefined
from contsemi.report.figures.palette import HEAT
from contsemi.report.figures.render import DOTS_PER_INCH, INCHES, SMALL, TYPE, tidy

__all__ = ["class_figure"]

NAMED = 20  # classes whose numbers fit at an axis


def class_figure(answered: Answered) -> Figure:
    """The confusion matrix on the left, the reliability diagram on the right.

    Args:
        answered: after the last task.
    """
    drawn = Figure(
        figsize=(INCHES[0], 3.3), dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine(wspace=0.06)
    )
    left, right = drawn.subplots(1, 2, width_ratios=(1.15, 1))
    _confusion(drawn, left, answered)
    _reliability(right, answered)
    tidy(drawn)
    return drawn


def _confusion(drawn: Figure, axes: Axes, answered: Answered) -> None:
    counts = answered.confusion()
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    bar = drawn.colorbar(image, ax=axes, shrink=0.85)
    bar.set_label("share of the true class [%]", fontsize=SMALL)
    bar.outline.set_linewidth(0.6)
    classes = len(counts)
    step = -(-classes // NAMED)
    axes.set_xticks(range(0, classes, step))
    axes.set_yticks(range(0, classes, step))
    axes.set_xlabel("predicted class, in order of arrival", fontsize=TYPE)
    axes.set_ylabel("true class", fontsize=TYPE)
    axes.set_title("confusion after the last task", fontsize=TYPE)


def _reliability(axes: Axes, answered: Answered) -> None:
    found = answered.reliability()
    edges = np.linspace(0, 100, len(found.accuracy) + 1)
    heights = np.nan_to_num(100 * found.accuracy)
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=HEAT, alpha=0.75)
    axes.plot([0, 100], [0, 100], color="0.3", linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set_aspect("equal")
    axes.set_xlabel("confidence [%]", fontsize=TYPE)
    axes.set_ylabel("accuracy of these images [%]", fontsize=TYPE)
    error = found.error
    title = "calibration"
    if not isinstance(error, Undefined):
        title = f"calibration (expected error {100 * error:.1f}%)"
    axes.set_title(title, fontsize=TYPE)
    axes.spines[["top", "right"]].set_visible(False)

"""Accuracy against forgetting, time and memory: one point a run, one colour a method."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from contsemi.report.comparison import Group
from contsemi.report.figures.palette import task_colours
from contsemi.report.figures.render import DOTS_PER_INCH, SMALL, TYPE
from contsemi.report.words import one_line

__all__ = ["AXES", "comparison_figure"]

# name of the value: what stands at the axis, and the factor to its unit.
AXES = {
    "forgetting": ("forgetting [%]", 100.0),
    "seconds": ("time of a run [s]", 1.0),
    "memory_bytes": ("memory [KiB]", 1 / 1024),
}
MARKERS = "osD^vPX*<>"


def comparison_figure(groups: Sequence[Group]) -> Figure:
    """Three panels that share the axis of accuracy, and a legend below them."""
    drawn = Figure(figsize=(7.2, 3.2), dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine())
    panels = drawn.subplots(1, len(AXES), sharey=True)
    for axes, (name, (label, factor)) in zip(panels, AXES.items(), strict=True):
        _panel(axes, groups, name, factor)
        axes.set_xlabel(label, fontsize=TYPE)
    panels[0].set_ylabel("average accuracy [%]", fontsize=TYPE)
    names = [one_line(group.name).replace("$", r"\$") for group in groups]
    drawn.legend(
        panels[0].collections[: len(groups)],
        names,
        loc="outside lower center",
        fontsize=SMALL,
        frameon=False,
        ncols=1 if max(map(len, names)) > 40 else 2,
    )
    return drawn


def _panel(axes: Axes, groups: Sequence[Group], name: str, factor: float) -> None:
    for place, (group, colour) in enumerate(zip(groups, task_colours(len(groups)), strict=True)):
        points = [
            (factor * x, 100 * y)
            for x, y in zip(group.values[name], group.values["average_accuracy"], strict=True)
            if x is not None and y is not None
        ]
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            s=22,
            color=colour,
            marker=MARKERS[place % len(MARKERS)],
            edgecolors="white",
            linewidths=0.4,
        )
    axes.tick_params(labelsize=SMALL, length=2.5, width=0.6)
    axes.grid(linewidth=0.4, color="0.88")
    axes.set_axisbelow(True)
    axes.margins(0.12)
    axes.spines[["top", "right"]].set_visible(False)

"""``comparison``: methods over the stream, and accuracy against forgetting, time and memory."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contsemi.report.comparison import Group
from contsemi.report.figures.drawing import Drawing, Panel
from contsemi.report.figures.palette import PAPER, task_colours
from contsemi.report.words import one_line

# name of the value: what stands at the axis, and the factor to its unit.
PRICES = {
    "forgetting": ("forgetting [%]", 100.0),
    "seconds": ("time of a run [s]", 1.0),
    "memory_bytes": ("memory [KiB]", 1 / 1024),
}
MARKERS = "osD^vPX*<>"
FEW = 3  # methods: of fewer the table says more than dots do


def drawing(groups: Sequence[Group]) -> Drawing:
    """One panel of curves for each scenario and label budget, and the prices of three methods.

    Args:
        groups: of :func:`contsemi.report.comparison.compare`.
    """
    settings = list(dict.fromkeys((group.scenario, group.labels) for group in groups))
    panels: list[Panel] = [partial(_curves, groups=groups, setting=setting) for setting in settings]
    caption = (
        "Average class-incremental accuracy over the tasks so far: the mean over seeds, in a band "
        "of one standard deviation."
    )
    if len(groups) >= FEW:
        panels += [partial(_price, groups=groups, name=name) for name in PRICES]
        caption += " Then the accuracy at the end against its price, one dot a run."
    height, across = 3.1 + 0.12 * len(groups), 2 if len(panels) in (2, 4) else 3
    title = "Methods side by side"
    return Drawing("comparison", title, caption, tuple(panels), height=height, across=across)


def _marks(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """One colour and one mark a method, wherever it is drawn."""
    return [
        {"color": colour, "marker": MARKERS[place % len(MARKERS)]}
        for place, colour in enumerate(task_colours(len(groups)))
    ]


def _curves(axes: Axes, groups: Sequence[Group], setting: tuple[str, str]) -> None:
    for group, mark in zip(groups, _marks(groups), strict=True):
        if (group.scenario, group.labels) != setting:
            continue
        known = ~np.isnan(group.curves).any(axis=0)
        curves, after = 100 * group.curves[:, known], 1 + np.flatnonzero(known)
        mean = curves.mean(axis=0)
        label = one_line(group.method)[:60]
        axes.plot(after, mean, **mark, markersize=3.5, label=label)
        if len(curves) > 1:
            spread = curves.std(axis=0, ddof=1)
            low, high = mean - spread, mean + spread
            axes.fill_between(after, low, high, color=mark["color"], alpha=0.15, linewidth=0)
    axes.set_ylim(0, 102)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("after task")
    axes.set_ylabel("average accuracy so far [%]")
    axes.set_title(one_line(f"{setting[0]}, labels {setting[1]}"))
    axes.grid(axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)


def _price(axes: Axes, groups: Sequence[Group], name: str) -> None:
    label, factor = PRICES[name]
    for group, mark in zip(groups, _marks(groups), strict=True):
        points = [
            (factor * x, 100 * y)
            for x, y in zip(group.values[name], group.values["average_accuracy"], strict=True)
            if x is not None and y is not None
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, s=22, edgecolors=PAPER, linewidths=0.4, **mark)
    axes.set_xlabel(label)
    axes.set_ylabel("average accuracy [%]")
    axes.set_title(f"against {label.partition(' [')[0]}")
    axes.grid()
    axes.margins(0.12)
    handles = [Line2D([], [], linestyle="", markersize=4, **mark) for mark in _marks(groups)]
    names = [one_line(group.name)[:60] for group in groups]
    if name == next(iter(PRICES)) and len({(g.scenario, g.labels) for g in groups}) > 1:
        axes.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)

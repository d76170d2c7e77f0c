"""The name of each line at its end, instead of a legend."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from contsemi.report.figures.drawing import SMALL
from contsemi.report.figures.spread import spread
from contsemi.report.words import one_line

FEW = 10  # lines whose names have room below each other


def name_ends(
    axes: Axes,
    ends: Mapping[str, tuple[float, float, str]],
    at: float,
    low: float = 0.0,
    high: float = 100.0,
) -> None:
    """Write names to the right of what they name, spread so that none covers another.

    Args:
        axes: where to write.
        ends: name -> x, y and colour of what it names; where y is NaN it is left out.
        at: x of the names.
        low: least y of a name.
        high: greatest y of a name.
    """
    known = {name: end for name, end in ends.items() if not np.isnan(end[1])}
    size = SMALL if len(known) <= FEW + 1 else 5.5
    gap = 0.72 * size * (high - low) / 100
    places = spread([y for _, y, _ in known.values()], gap=gap, low=low, high=high)
    for (name, (_, _, colour)), place in zip(known.items(), places, strict=True):
        bold = "bold" if name == "mean" else "normal"
        text = f" {one_line(name)}"
        axes.text(at, place, text, va="center", fontsize=size, color=colour, fontweight=bold)
    # Lines and not arrows, which cost matplotlib a hundred times as much.
    leaders = LineCollection(
        [[(x, y), (at, place)] for (x, y, _), place in zip(known.values(), places, strict=True)],
        colors=[colour for _, _, colour in known.values()],
        linewidths=0.4,
        clip_on=False,
    )
    leaders.set_in_layout(False)
    axes.add_collection(leaders, autolim=False)

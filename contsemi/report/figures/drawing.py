"""A figure as a value: panels that stand side by side in a file, and one by one on a page."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from contsemi.report.figures.palette import FAINT, INK, PAPER
from contsemi.report.words import one_line

SMALL = 7.0
DOTS_PER_INCH = 220
# Names are no formulae; equal figures are equal bytes.
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "text.parse_math": False,
    "svg.hashsalt": "contsemi",
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "grid.color": FAINT,
    **dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], INK
    ),
}

Panel = Callable[[Axes], None]
"""Draws into axes that it is given."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure.

    Attributes:
        name: of its files.
        title: heading on the page.
        caption: what it shows, in a sentence or two.
        panels: from left to right.
        head: stands above the panels in the files.
        widths: of the panels in a file, as shares.
        height: of a row of panels in inches; a file is 7.2 wide, as a page of two columns.
        across: most panels of a row.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    head: str = ""
    widths: tuple[float, ...] | None = None
    height: float = 3.1
    across: int = 3


def pictures(drawing: Drawing) -> dict[str, bytes]:
    """The whole figure as PNG and SVG files by their names, without date and version."""
    found = _saved(figure(drawing), "png", "svg")
    return {f"{drawing.name}.{ending}": content for ending, content in found.items()}


def on_page(drawing: Drawing) -> list[bytes]:
    """Each panel as an SVG whose text is text; small, so that it can be read on a phone."""
    with rc_context({"svg.fonttype": "none"}):
        alone = (Drawing("", "", "", (panel,), height=3.0) for panel in drawing.panels)
        return [_saved(figure(panel, 4.2), "svg")["svg"] for panel in alone]


def figure(drawing: Drawing, width: float = 7.2) -> Figure:
    """The panels in rows; no state of pyplot is touched.

    Args:
        drawing: what to draw.
        width: in inches.
    """
    across = min(drawing.across, len(drawing.panels))
    rows = -(-len(drawing.panels) // across)
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(wspace=0.06)
        drawn = Figure((width, drawing.height * rows), dpi=DOTS_PER_INCH, layout=layout)
        grid = drawn.subplots(rows, across, squeeze=False, width_ratios=drawing.widths).flat
        for axes, panel in zip_longest(grid, drawing.panels):
            if panel is None:
                axes.set_axis_off()
            else:
                panel(axes)
        if drawing.head:
            drawn.suptitle(one_line(drawing.head), fontsize=9, fontweight="bold")
    return drawn


def _saved(drawn: Figure, *endings: str) -> dict[str, bytes]:
    found = {}
    with rc_context(STYLE):  # ticks are made while a figure is saved
        _lay_out(drawn, endings[0])
        for ending in endings:
            buffer = io.BytesIO()
            metadata = {"png": {"Software": None}, "svg": {"Date": None}}[ending]
            drawn.savefig(buffer, format=ending, dpi=DOTS_PER_INCH, metadata=metadata)
            found[ending] = buffer.getvalue()
    return found


def _lay_out(drawn: Figure, ending: str) -> None:
    """Places the panels once; a figure that has an engine is drawn twice each time it is saved."""
    canvas = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG}[ending]
    canvas(drawn)
    if (engine := drawn.get_layout_engine()) is not None:
        engine.execute(drawn)
    drawn.set_layout_engine(None)

"""A figure as the bytes of a file; equal figures give equal bytes."""

import io
from typing import Literal

from matplotlib import rc_context
from matplotlib.figure import Figure

__all__ = ["DOTS_PER_INCH", "INCHES", "SMALL", "TYPE", "Ending", "render", "tidy"]

Ending = Literal["png", "svg"]

# The width of a page of two columns; type of 7 to 9 points is legible there.
INCHES = (7.2, 3.1)
DOTS_PER_INCH = 220
TYPE = 8.0
SMALL = 7.0


def render(figure: Figure, ending: Ending) -> bytes:
    """The figure as PNG or SVG, without date and version."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}}[ending]
    # Names of parts of an SVG are drawn at random, unless they are salted.
    with rc_context({"svg.hashsalt": "contsemi"}):
        figure.savefig(buffer, format=ending, dpi=DOTS_PER_INCH, metadata=metadata)
    return buffer.getvalue()


def tidy(figure: Figure) -> None:
    """Thin lines and small type on every axis."""
    for axes in figure.axes:
        axes.tick_params(labelsize=SMALL, length=2.5, width=0.6)
        for spine in axes.spines.values():
            spine.set_linewidth(0.6)

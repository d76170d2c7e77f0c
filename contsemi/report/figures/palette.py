"""Colours that remain distinct with any colour vision, in print and on dark paper."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex

# Okabe and Ito (2008), without black and yellow, which vanish on one of the two papers.
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
HEAT = OKABE_ITO[0]

INK, SOFT, FAINT, PAPER = "#1b1b1b", "#595959", "#d9d9d9", "#ffffff"
_DARK = {INK: "#ececec", SOFT: "#a8a8a8", FAINT: "#3c3c3c", PAPER: "#141414"}

SHADES = LinearSegmentedColormap.from_list("accuracy", [f"{HEAT}00", f"{HEAT}b0"])
"""From nothing to much, over whatever paper lies below."""


def task_colours(tasks: int) -> list[str]:
    """One colour a task: unordered hues for few, an ordered scale for many."""
    if tasks <= len(OKABE_ITO):
        return list(OKABE_ITO[:tasks])
    # Its end is too pale for a line on white paper.
    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0.1, 0.78, tasks))]


def in_the_dark(colour: str) -> str:
    """The colour that stands on dark paper for one that was made for white paper."""
    if (known := _DARK.get(colour)) is not None:
        return known
    share = 0.0
    while _luminance(lighter := _mixed(colour, "#ffffff", share)) < 0.22:
        share += 0.05
    return lighter


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG, nearly."""
    linear: list[float] = [(channel / 255) ** 2.2 for channel in bytes.fromhex(colour[1:])]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _mixed(one: str, other: str, share: float) -> str:
    pair = (bytes.fromhex(one[1:]), bytes.fromhex(other[1:]))
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(*pair, strict=True))

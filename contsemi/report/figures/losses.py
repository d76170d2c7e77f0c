"""``losses``: each term of the loss over the steps of the run."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from contsemi.report.figures.drawing import Drawing
from contsemi.report.figures.palette import task_colours
from contsemi.report.material import Material
from contsemi.report.words import one_line


def drawing(material: Material) -> Drawing | None:
    """One panel with all terms; by logarithm where all are positive and differ tenfold."""
    losses = {name: rows for name, rows in material.losses.items() if len(rows) > 1}
    if not losses:
        return None
    caption = "Each term of the loss as it enters the sum, as last read from the device."
    panels = (partial(_terms, losses=losses),)
    return Drawing("losses", "Losses", caption, panels, head=material.title)


def _terms(axes: Axes, losses: dict[str, NDArray[np.float64]]) -> None:
    for (name, rows), colour in zip(losses.items(), task_colours(len(losses)), strict=True):
        axes.plot(rows[:, 0], rows[:, 1], color=colour, linewidth=0.9, label=one_line(name))
    values = np.concatenate([rows[:, 1] for rows in losses.values()])
    if values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # and not a formula
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=min(len(losses), 3))
    axes.set_xlabel("optimiser steps")
    axes.set_ylabel("terms of the loss")
    axes.grid(axis="y")

"""A table of shares as shades of one colour."""

from matplotlib.axes import Axes

from contsemi.metrics.matrix import Matrix
from contsemi.report.figures.palette import SHADES


def heat(axes: Axes, shares: Matrix, label: str) -> None:
    """Shades from 0 to 100, with a bar beside them.

    Args:
        axes: where to draw.
        shares: fractions; NaN stays empty.
        label: what stands at the bar, with its unit.
    """
    image = axes.imshow(100 * shares, cmap=SHADES, vmin=0, vmax=100, interpolation="none")
    axes.spines[["top", "right"]].set_visible(True)
    figure = axes.get_figure()
    if figure is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.03)
        bar.set_label(label)
        bar.outline.set_linewidth(0.6)
        if bar.solids is not None:
            bar.solids.set_edgecolor("none")

"""The figures of a run, in the order of the page."""

from collections.abc import Callable, Iterator

from contsemi.report.figures import (
    by_class,
    classes,
    embeddings,
    forgetting,
    losses,
    stability,
    stream,
    truth,
)
from contsemi.report.figures.drawing import Drawing
from contsemi.report.material import Material

FIGURES: tuple[Callable[[Material], Drawing | None], ...] = (
    forgetting.drawing,
    stability.drawing,
    truth.drawing,
    classes.drawing,
    by_class.drawing,
    losses.drawing,
    embeddings.drawing,
    stream.drawing,
)


def drawings(material: Material) -> Iterator[Drawing]:
    """Every figure that there is something to draw for."""
    for figure in FIGURES:
        if (drawing := figure(material)) is not None:
            yield drawing

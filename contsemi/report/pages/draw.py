"""The pictures and the page of a run, drawn from its files alone."""

from typing import TYPE_CHECKING

from contsemi.records.answers import read_all
from contsemi.records.finished import Run
from contsemi.report.pages.html import page
from contsemi.storage.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

# What the page says of the figures that it has no drawing of its own for.
CAPTIONS = {
    "classes": "Which classes are taken for which after the last task, and how often predictions "
    "of one confidence are right.",
    "embeddings": "Features of some test images in the plane of their greatest variance; stars "
    "stand for classes, pale points belong to earlier tasks.",
}


def draw(run: Run) -> tuple[str, ...]:
    """Write ``report.html``, and each figure that there are data for as PNG and SVG.

    Returns:
        the names of the files.

    Raises:
        StorageFailed: a file cannot be written.
        InputError: a file of the run is damaged.
    """
    # Matplotlib takes half a second to import; the console does not need it.
    from contsemi.report.figures.render import render

    files: dict[str, bytes] = {}
    inlined = []
    for name, figure in _figures(run).items():
        for ending in ("png", "svg"):
            files[f"{name}.{ending}"] = render(figure, ending)
        if name in CAPTIONS:
            inlined.append((CAPTIONS[name], files[f"{name}.png"]))
    files = {"report.html": page(run, inlined)} | files
    for name, content in files.items():
        write_atomically(run.folder / name, content)
    return tuple(files)


def _figures(run: Run) -> dict[str, "Figure"]:
    from contsemi.report.figures.class_figure import class_figure
    from contsemi.report.figures.curves import figure
    from contsemi.report.figures.embedding_figure import embedding_figure
    from contsemi.report.figures.stability import stability_figure

    found = {"forgetting": figure(run)}
    if run.trajectories:
        found["stability"] = stability_figure(run)
    if answers := read_all(run.folder):
        found["classes"] = class_figure(answers[max(answers)])
        embeddings = embedding_figure(answers)
        if embeddings is not None:
            found["embeddings"] = embeddings
    return found

"""The pictures and the page of a run, drawn from its files alone."""

import csv
import io

from contsemi.metrics.by_class import by_class
from contsemi.records.finished import FinishedRun
from contsemi.report.material import Material
from contsemi.storage.atomic import write_atomically


def draw(run: FinishedRun) -> tuple[str, ...]:
    """Write ``report.html``, each figure that there are data for as PNG and SVG, and a table.

    Returns:
        the names of the files.

    Raises:
        StorageFailed: a file cannot be written.
        InputError: a file of the run is damaged.
    """
    # Matplotlib takes half a second to import; the console does not need it.
    from contsemi.report.figures.catalogue import drawings
    from contsemi.report.figures.drawing import pictures
    from contsemi.report.pages.page import page

    material = Material.of(run)
    files = {"report.html": page(run)}
    for drawing in drawings(material):
        files |= pictures(drawing)
    if material.answers:
        files["accuracy_by_class.csv"] = _by_class(material)
    for name, content in files.items():
        write_atomically(run.folder / name, content)
    return tuple(files)


def _by_class(material: Material) -> bytes:
    """Class, its task, its test images and, to the last bit, its accuracy after each task."""
    found = by_class(material.answers)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["class", "task", "images", *(f"after_task_{task + 1}" for task in found.tasks)])
    for column, row in enumerate(found.accuracy.tolist()):
        facts = (found.tasks[found.arrival[column]] + 1, found.images[column])
        cells = ("" if cell != cell else repr(cell) for cell in row)
        lines.writerow([material.names.of_class(column), *facts, *cells])
    return text.getvalue().encode("utf-8", "replace")

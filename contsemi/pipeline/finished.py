"""The end of a run on the screen: its tables, its figures, its files."""

from pathlib import Path
from typing import Any

from contsemi.report.screen.console import Display

_FIRST = ("results.json", "accuracy_matrix.csv", "metrics.jsonl")


def show_results(display: Display, folder: Path) -> dict[str, Any]:
    """Draws the figures of a finished run and shows its tables.

    Args:
        display: the screen.
        folder: of the run.

    Returns:
        The content of ``results.json``.
    """
    # They bring matplotlib, which a run needs at its end alone.
    from contsemi.records.finished import load_run
    from contsemi.report.pages.draw import draw

    run = load_run(folder)
    display.say("drawing the figures")
    display.finish(run, [*_FIRST, *draw(run)])
    return run.results

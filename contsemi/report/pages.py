"""The pictures and the page of a run, drawn from its files alone."""

from contsemi.atomic import write_atomically
from contsemi.report.html import page
from contsemi.report.run import Run

__all__ = ["draw"]


def draw(run: Run) -> tuple[str, ...]:
    """Write ``report.html``, ``forgetting.png`` and, where there are curves, ``stability.png``.

    Returns:
        the names of the files.

    Raises:
        StorageFailed: a file cannot be written.
    """
    # Matplotlib takes half a second to import; the console does not need it.
    from contsemi.report.curves import picture

    write_atomically(run.folder / "report.html", page(run))
    write_atomically(run.folder / "forgetting.png", picture(run))
    if not run.trajectories:
        return "report.html", "forgetting.png"
    from contsemi.report.stability import stability_picture

    write_atomically(run.folder / "stability.png", stability_picture(run))
    return "report.html", "forgetting.png", "stability.png"

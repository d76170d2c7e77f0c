"""``report.html`` and the page of a run that still trains."""

from collections.abc import Iterable, Mapping
from typing import Any

from contsemi.metrics.by_class import by_class
from contsemi.metrics.summary import HEADLINE
from contsemi.records.finished import FinishedRun
from contsemi.records.plain import to_json, to_yaml
from contsemi.report.figures.catalogue import drawings
from contsemi.report.figures.drawing import Drawing, on_page
from contsemi.report.material import Material
from contsemi.report.meanings import MEANINGS
from contsemi.report.pages.environment import fill
from contsemi.report.pages.inline import inline
from contsemi.report.pages.tables import (
    by_class_table,
    gap_table,
    held_table,
    matrix_cells,
    number_tables,
)
from contsemi.report.pages.wrong import surest_mistakes
from contsemi.report.screen.tables import cost, reasons
from contsemi.report.words import duration

SECONDS_BETWEEN_LOADS = 5


def inlined(figures: Iterable[Drawing]) -> list[dict[str, Any]]:
    """Figures as the templates take them."""
    return [
        {
            "title": figure.title,
            "caption": figure.caption,
            "panels": [
                inline(svg, f"{figure.name}{number}", f"{figure.title}, panel {number + 1}")
                for number, svg in enumerate(on_page(figure))
            ],
        }
        for figure in figures
    ]


def page(run: FinishedRun) -> bytes:
    """The whole page of a finished run.

    Raises:
        InputError: a file of the run is damaged.
    """
    material = Material.of(run)
    undefined = run.results.get("undefined")
    tables = [held_table(run.manifest, run.names), *number_tables(run)]
    if "class_incremental" in run.trajectories:
        tables.append(gap_table(run.trajectories["class_incremental"], run.names))
    if material.answers:
        tables.append(by_class_table(by_class(material.answers), run.names))
    headline = run.results["class_incremental"]
    return fill(
        "run.html",
        title=run.title,
        cost=cost(run),
        cards=[(name, headline[name], MEANINGS[name]) for name in HEADLINE],
        reasons=reasons(undefined) if isinstance(undefined, Mapping) else [],
        figures=inlined(drawings(material)),
        matrices=[
            ("Class-incremental", matrix_cells(run.class_incremental, run.names)),
            ("Task-incremental", matrix_cells(run.task_incremental, run.names)),
        ],
        tables=[table for table in tables if table.rows],
        wrong=surest_mistakes(material),
        config=to_yaml(run.config).decode() if run.config else "",
        manifest=to_json(run.manifest).decode() if run.manifest else "",
    )


def progress_page(material: Material) -> bytes:
    """Whatever is known so far of a run that trains: place, time left, losses, figures."""
    held = held_table(material.manifest, material.names)
    place = material.progress
    losses = place.get("losses")
    return fill(
        "progress.html",
        refresh=SECONDS_BETWEEN_LOADS,
        title=material.title,
        place=_place(material),
        share=_share(place),
        losses=list(losses.items()) if isinstance(losses, dict) else [],
        figures=inlined(drawings(material)),
        matrix=None if material.matrix is None else matrix_cells(material.matrix, material.names),
        held=held if held.rows else None,
    )


def _place(material: Material) -> str:
    """For example ``Task 2: cat, dog (of 5) · epoch 3/10 · step 20/40 · 2 min 10 s left``."""
    place = material.progress
    if not _share(place):
        return "Nothing is measured yet."
    words = [
        f"Task {material.names.of_task(place['task'])} (of {place['tasks']})",
        f"epoch {place['epoch'] + 1}/{place['epochs']}",
        f"step {place['step']}/{place['steps']}",
    ]
    if isinstance(left := place.get("seconds_left"), int | float):
        words.append(f"{duration(left)} left")
    return " · ".join(words)


def _share(place: Mapping[str, Any]) -> float | None:
    """How much of the run is done."""
    try:
        in_task = (place["epoch"] + place["step"] / place["steps"]) / place["epochs"]
        return float((place["task"] + in_task) / place["tasks"])
    except (KeyError, TypeError, ZeroDivisionError):
        return None

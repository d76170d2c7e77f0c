"""``--list``: the runs below a folder, finished or not."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from contsemi.errors import ContsemiError
from contsemi.records.finished import load_run
from contsemi.report.material import Material
from contsemi.report.screen.grid import grid
from contsemi.report.words import one_line, percent

DEPTH = 4


def runs_below(folders: Sequence[Path]) -> list[Path]:
    """Every folder that holds a manifest of ours, a few levels down; links are not followed."""
    found = []
    for top in folders:
        for folder, below, files in os.walk(top):
            deep = len(Path(folder).relative_to(top).parts) >= DEPTH
            below[:] = [] if deep or "config.yaml" in files else sorted(below)
            if "config.yaml" in files and "manifest.json" in files:
                found.append(Path(folder))
    return found


def listing(folders: Sequence[Path], width: int) -> RenderableType:
    """One line a run: where it stands and, once finished, its average accuracy."""
    if not folders:
        return Text("no runs here")
    header = ["folder", "method", "scenario", "labels", "seed", "state", "average\naccuracy"]
    return grid("runs", header, [_row(folder) for folder in folders], width=width)


def _row(folder: Path) -> list[str]:
    where = one_line(folder)
    try:
        if (folder / "results.json").is_file():
            run = load_run(folder)
            facts = run.results
            told: tuple[Any, ...] = (
                *(facts["method"], facts["scenario"]),
                *(run.labels_told, facts["seed"]),
            )
            accuracy = percent(facts["class_incremental"]["average_accuracy"])
            return [where, *map(one_line, told), "finished", accuracy]
        material = Material.so_far(folder)
        config, name = material.config, (material.config.get("scenario") or {}).get("name", "-")
        told = (config.get("method", "-"), name, config.get("label_ratio"), config.get("seed"))
        return [where, *map(one_line, told), _state(material), "-"]
    except (ContsemiError, AttributeError):
        return [where, "-", "-", "-", "-", "damaged", "-"]


def _state(material: Material) -> str:
    place = material.progress
    known = all(type(place.get(key)) is int for key in ("task", "tasks"))
    return f"in task {place['task'] + 1}/{place['tasks']}" if known else "not finished"

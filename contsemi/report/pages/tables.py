"""The tables of the pages as rows of words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.by_class import ByClass
from contsemi.metrics.forgetting import forgetting, forgetting_per_task
from contsemi.metrics.matrix import Matrix, Undefined, or_none
from contsemi.metrics.stability_gap import gaps
from contsemi.metrics.trajectory import Trajectory
from contsemi.records.finished import FinishedRun
from contsemi.records.measured import GROUPS
from contsemi.records.names import Names
from contsemi.report.meanings import MEANINGS
from contsemi.report.screen.tables import number
from contsemi.report.words import percent


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words below a heading; the first of each row names it, with what it means."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    meanings: Sequence[str] = ()
    note: str = ""
    folded: bool = False
    kind: str = ""


def matrix_cells(matrix: Matrix, names: Names) -> dict[str, Any]:
    """A matrix with its means and the forgetting of each task, as a template takes it."""
    tasks = range(len(matrix))
    return {
        "names": [names.of_task(task) for task in tasks],
        "rows": [[None if np.isnan(cell) else float(cell) for cell in row] for row in matrix],
        "means": [or_none(average_accuracy(matrix, task)) for task in tasks],
        "drops": forgetting_per_task(matrix),
        "forgetting": or_none(forgetting(matrix)),
    }


def number_tables(run: FinishedRun) -> list[Table]:
    """Every metric of the results with what it is."""
    kinds = ("class_incremental", "task_incremental")
    found = [_two_kinds("Summary [%]", [run.results[kind] for kind in kinds], run.metrics)]
    inside = run.results.get("while_training")
    if isinstance(inside, dict) and all(isinstance(inside.get(kind), dict) for kind in kinds):
        both = [inside[kind] for kind in kinds]
        found.append(_two_kinds("Inside tasks [%]", both, list(both[0])))
    measured = {
        (group, name): value
        for group in GROUPS
        if isinstance(run.results.get(group), dict)
        for name, value in run.results[group].items()
    }
    rows = [
        [f"{group}: {name}".replace("_", " "), number(name, value)]
        for (group, name), value in measured.items()
    ]
    means = [MEANINGS.get(name, "") for _, name in measured]
    title, head = "Features and confidence [%]", ("", "after the last task")
    return [*found, Table(title, head, rows, means, kind="numbers")] if rows else found


def _two_kinds(title: str, kinds: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    rows = [
        [name.replace("_", " "), *(number(name, kind.get(name)) for kind in kinds)]
        for name in names
    ]
    means = [MEANINGS.get(name, "") for name in names]
    return Table(title, ("", "class-incremental", "task-incremental"), rows, means, kind="numbers")


def gap_table(trajectory: Trajectory, names: Names) -> Table:
    """What each switch did to each earlier task."""
    rows = [
        [
            names.of_task(gap.switch),
            names.of_task(gap.task),
            *map(percent, (gap.before, gap.lowest, gap.depth)),
            "never" if isinstance(gap.recovery, Undefined) else str(gap.recovery),
        ]
        for gap in gaps(trajectory)
    ]
    head = ("task that begins", "on task", "before", "lowest", "depth", "steps to 95%")
    return Table("Stability gap at every switch [%]", head, rows, folded=True, kind="gaps")


def held_table(manifest: Mapping[str, Any], names: Names) -> Table:
    """What each task held."""
    tasks = manifest.get("tasks")
    tasks = tasks if isinstance(tasks, list) and names.tasks else []
    kinds = ("labelled", "unlabelled", "test")
    rows = [
        [
            str(index + 1),
            ", ".join(names.of_class(column) for column in names.tasks[index]),
            *(f"{task.get(kind, '-')}" for kind in kinds),
        ]
        for index, task in enumerate(tasks)
    ]
    head = ("task", "classes", "labels", "unlabelled images", "test images")
    return Table("What each task held", head, rows, kind="held")


def by_class_table(found: ByClass, names: Names) -> Table:
    """Accuracy on each class after each task."""
    rows = [
        [
            names.of_class(column),
            str(found.tasks[found.arrival[column]] + 1),
            str(found.images[column]),
            *("" if np.isnan(cell) else percent(cell) for cell in row),
        ]
        for column, row in enumerate(found.accuracy)
    ]
    head = ("class", "task", "test images", *(f"after {task + 1}" for task in found.tasks))
    return Table("Accuracy by class [%]", head, rows, folded=len(rows) > 20)

"""The closing tables: accuracy per task after each task, forgetting, averages, cost."""

from collections.abc import Mapping

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.forgetting import forgetting, forgetting_per_task
from contsemi.metrics.matrix import Matrix, or_none
from contsemi.records.finished import FinishedRun
from contsemi.records.measured import GROUPS
from contsemi.report.screen.grid import grid, least_width
from contsemi.report.words import COUNTS, duration, is_share, one_line, percent, rate, size


def closing(run: FinishedRun, width: int) -> list[RenderableType]:
    """Everything that the end of a run shows, fit for ``width`` columns."""
    header = ["", "class-\nincremental", "task-\nincremental"]
    rows = [
        [
            one_line(name.replace("_", " ")),
            percent(run.results["class_incremental"][name]),
            percent(run.results["task_incremental"][name]),
        ]
        for name in run.metrics
    ]
    parts = [
        _accuracies(run.class_incremental, width),
        grid("summary [%]", header, rows, width=width),
    ]
    if len(run.names.tasks) == len(run.class_incremental):
        tasks = " · ".join(map(run.names.of_task, range(len(run.names.tasks))))
        parts.insert(1, Text(one_line(f"tasks {tasks}")))
    parts += [Text(line) for line in (by_predictor(run), *features(run)) if line]
    undefined = run.results.get("undefined")
    if isinstance(undefined, dict) and undefined:
        parts.append(Text("\n".join(f"not defined: {reason}" for reason in reasons(undefined))))
    return [*parts, Text(cost(run))]


def reasons(undefined: Mapping[str, object]) -> list[str]:
    """Why metrics of a run are not defined, each reason once."""
    return list(dict.fromkeys(one_line(reason) for reason in undefined.values()))


def by_predictor(run: FinishedRun) -> str:
    """The average accuracy by each predictor but the headline in one line; empty of none."""
    found = run.results.get("predictors")
    values = found.items() if isinstance(found, dict) else ()
    parts = [
        f"{one_line(name)} {percent(value['average_accuracy'])}"
        for name, value in values
        if name != "headline" and isinstance(value, dict) and "average_accuracy" in value
    ]
    return f"average accuracy by {', '.join(parts)}" if parts else ""


def features(run: FinishedRun) -> list[str]:
    """What probes, calibration and pseudo-labels say at the end, a line each."""
    lines = []
    for group in GROUPS:
        values = run.results.get(group)
        if isinstance(values, dict) and values:
            told = (f"{name.replace('_', ' ')} {number(name, values[name])}" for name in values)
            lines.append(one_line(f"{group.replace('_', ' ')}: {', '.join(told)}"))
    return lines


def number(name: str, value: object) -> str:
    """A metric in its unit: percent, but for counts and what is no share."""
    if not isinstance(value, int | float):
        return "-"
    if name in COUNTS:
        return f"{value:.0f}"
    return percent(value) if is_share(name) else f"{value:.3f}"


def cost(run: FinishedRun) -> str:
    """What it started from, memory and what it lacks, time and speed in one line."""
    facts = run.results
    parts = []
    if origin := facts.get("pretrained"):
        of = origin["labels"]
        known = f", labels of {of}" if of else ""
        parts.append(one_line(f"pre-trained ({origin['name']}{known})"))
    if facts["memory_bytes"] is not None:
        parts.append(f"memory {size(facts['memory_bytes'])}")
    gone = facts.get("classes_without_exemplars")
    if isinstance(gone, list) and gone:
        some = ", ".join(map(str, gone[:5])) + (", ..." if len(gone) > 5 else "")
        parts.append(one_line(f"no image kept of {len(gone)} classes ({some})"))
    if facts["seconds"] is not None:
        parts.append(f"time {duration(facts['seconds'])}")
    if facts["images_per_second"] is not None:
        parts.append(rate(facts["images_per_second"]))
    return " · ".join(parts)


def _accuracies(matrix: Matrix, width: int) -> RenderableType:
    """The matrix where it fits, else one line a task with its history in four numbers."""
    title = "accuracy [%] on each task (class-incremental)"
    tasks = len(matrix)
    drops = [percent(drop) for drop in forgetting_per_task(matrix)]
    header = ["after task", *(str(task + 1) for task in range(tasks)), "mean"]
    rows = [
        [
            str(row + 1),
            *("" if np.isnan(value) else percent(value) for value in matrix[row]),
            percent(or_none(average_accuracy(matrix, row))),
        ]
        for row in range(tasks)
    ]
    footer = ["forgetting", *drops, percent(or_none(forgetting(matrix)))]
    if least_width([header, *rows, footer], gap=1) <= width:
        return grid(title, header, rows, width=width, footer=footer)

    header = ["task", "learned", "best", "at the end", "forgetting"]
    best = np.fmax.reduce(matrix, axis=0)
    columns = (matrix.diagonal(), best, matrix[-1])
    rows = [
        [f"{task + 1}", *(percent(column[task]) for column in columns), drops[task]]
        for task in range(tasks)
    ]
    return grid(title, header, rows, width=width)

"""``report.html``: one page that needs no network, no script and no other file."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.forgetting import forgetting, forgetting_per_task
from contsemi.metrics.matrix import Matrix, Undefined
from contsemi.metrics.summary import HEADLINE
from contsemi.records.finished import Run
from contsemi.records.plain import to_json, to_yaml
from contsemi.report.pages.document import document
from contsemi.report.pages.steps_html import inside_tasks
from contsemi.report.pages.svg import curves
from contsemi.report.screen.tables import cost, reasons
from contsemi.report.words import one_line, percent

__all__ = ["matrix_table", "page"]


def page(run: Run, pictures: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """The whole page of a run; every foreign text in it is escaped.

    Args:
        run: the run.
        pictures: PNG files to show besides, each with what it shows.
    """
    title = _text(run.title)
    body = [
        f"<h1>{title}</h1>",
        f'<p class="soft">{_text(cost(run))}</p>',
        _cards(run.results),
        *(f'<p class="soft">Not defined: {_text(reason)}.</p>' for reason in _reasons(run)),
        "<h2>Forgetting curves</h2>",
        curves(run.class_incremental),
        '<p class="soft">Each line is one task, numbered at its end; dashed: the mean over the '
        "tasks so far. Class-incremental: the greatest score over all classes seen.</p>",
        inside_tasks(run.trajectories),
        "<h2>Class-incremental accuracy [%]</h2>",
        matrix_table(run.class_incremental),
        "<h2>Task-incremental accuracy [%]</h2>",
        matrix_table(run.task_incremental),
        "<h2>Summary [%]</h2>",
        _summary(run),
        *(_picture(caption, content) for caption, content in pictures),
        _folded("Configuration", to_yaml(run.config)) if run.config else "",
        _folded("Manifest", to_json(run.manifest)) if run.manifest else "",
    ]
    return document(title, "\n".join(body))


def _picture(caption: str, content: bytes) -> str:
    data = b64encode(content).decode()
    return (
        f'<figure><div class="wide"><img alt="{_text(caption)}" '
        f'src="data:image/png;base64,{data}"></div>'
        f'<figcaption class="soft">{_text(caption)}</figcaption></figure>'
    )


def _text(text: object) -> str:
    return escape(one_line(text))


def _reasons(run: Run) -> list[str]:
    undefined = run.results.get("undefined")
    return reasons(undefined) if isinstance(undefined, Mapping) else []


def _cards(results: Mapping[str, Any]) -> str:
    cards = "".join(
        f"<div><dt>{name.replace('_', ' ')}</dt><dd>{_share(value)}</dd></div>"
        for name, value in results["class_incremental"].items()
        if name in HEADLINE
    )
    return f'<dl class="cards">{cards}</dl>'


def _share(value: float | None) -> str:
    return "–" if value is None else f"{percent(value)} %"  # noqa: RUF001


def matrix_table(matrix: Matrix) -> str:
    """The matrix as a heat map with numbers, its means and the forgetting of each task."""
    tasks = len(matrix)
    head = "".join(f'<th scope="col">{task + 1}</th>' for task in range(tasks))
    rows = "".join(
        f'<tr><th scope="row">{row + 1}</th>{"".join(map(_cell, matrix[row]))}'
        f"<td>{_number(average_accuracy(matrix, row))}</td></tr>"
        for row in range(tasks)
    )
    drops = "".join(f"<td>{percent(drop)}</td>" for drop in forgetting_per_task(matrix))
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="accuracy matrix"><table>'
        f'<thead><tr><th scope="col">after task</th>{head}<th scope="col">mean</th></tr></thead>'
        f'<tbody>{rows}</tbody><tfoot><tr><th scope="row">forgetting</th>{drops}'
        f"<td>{_number(forgetting(matrix))}</td></tr></tfoot></table></div>"
    )


def _cell(value: float) -> str:
    if np.isnan(value):
        return "<td></td>"
    return f'<td class="heat" style="--share:{value:.3f}">{percent(value)}</td>'


def _number(metric: float | Undefined) -> str:
    return percent(None if isinstance(metric, Undefined) else metric)


def _summary(run: Run) -> str:
    kinds = ("class_incremental", "task_incremental")
    head = "".join(f'<th scope="col">{kind.replace("_", "-")}</th>' for kind in kinds)
    rows = "".join(
        f'<tr><th scope="row">{_text(name.replace("_", " "))}</th>'
        + "".join(f"<td>{percent(run.results[kind][name])}</td>" for kind in kinds)
        + "</tr>"
        for name in run.metrics
    )
    return (
        '<div class="wide"><table class="summary"><thead><tr><th scope="col"></th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _folded(title: str, content: bytes) -> str:
    text = escape(content.decode("utf-8", "replace"))
    return f"<details><summary>{title}</summary><pre>{text}</pre></details>"

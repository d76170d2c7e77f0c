"""``interactive.html``: the charts of a run or of a comparison, to be pointed at and zoomed into.

Drawn by plotly, whose whole script (5 MB) stands in the page, so that it needs no network either;
therefore only on request.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contsemi.errors import InputError
from contsemi.metrics.matrix import Matrix
from contsemi.metrics.projection import project
from contsemi.records.answers import read_all
from contsemi.records.finished import Run
from contsemi.report.comparison import Group
from contsemi.report.figures.palette import HEAT, task_colours
from contsemi.report.pages.document import document
from contsemi.report.words import one_line

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["interactive_comparison", "interactive_page"]

# Readable on white and on black paper: plotly does not follow the reader's colour scheme.
INK, GRID = "#7b7b7b", "rgba(128,128,128,.3)"
FEW_TASKS = 20  # whose numbers fit at an axis
PRICES = (
    ("forgetting", "forgetting [%]", 100.0),
    ("seconds", "time of a run [s]", 1.0),
    ("memory_bytes", "memory [KiB]", 1 / 1024),
)


def interactive_page(run: Run) -> bytes:
    """The page of one run: curves, curves inside tasks, matrices, embeddings.

    Raises:
        InputError: plotly is not installed, or a file of the run is damaged.
    """
    return _page(escape(one_line(run.title)), _of_run(run))


def interactive_comparison(groups: Sequence[Group]) -> bytes:
    """The page of several runs: average accuracy against forgetting, time and memory.

    Args:
        groups: of :func:`contsemi.report.comparison.compare`.

    Raises:
        InputError: plotly is not installed.
    """
    return _page("Comparison of runs", _of_groups(groups))


def _page(title: str, charts: Iterator[tuple[str, "Figure"]]) -> bytes:
    try:
        import plotly  # noqa: F401
    except ImportError as missing:
        raise InputError(
            "--interactive", "plotly is not installed", "pip install 'contsemi[plots]'"
        ) from missing
    parts = [f"<h1>{title}</h1>"]
    for number, (heading, chart) in enumerate(charts):
        drawn = chart.to_html(
            full_html=False,
            include_plotlyjs=number == 0,
            config={"responsive": True, "displaylogo": False},
        )
        parts.append(f"<h2>{heading}</h2>{drawn}")
    return document(title, "\n".join(parts))


def _of_run(run: Run) -> Iterator[tuple[str, "Figure"]]:
    tasks = len(run.class_incremental)
    after = np.arange(1, tasks + 1)
    curves = _lines(after, run.class_incremental, "after task", markers=True)
    yield "Forgetting curves", curves.update_xaxes(dtick=1 if tasks <= FEW_TASKS else None)
    if "class_incremental" in run.trajectories:
        inside = run.trajectories["class_incremental"]
        yield "Inside tasks", _lines(inside.steps, inside.accuracy, "optimiser steps")
    yield "Class-incremental accuracy", _heat_map(run.class_incremental)
    yield "Task-incremental accuracy", _heat_map(run.task_incremental)
    if (embeddings := _embeddings(run)) is not None:
        yield "Embeddings of test images after the last task", embeddings


def _of_groups(groups: Sequence[Group]) -> Iterator[tuple[str, "Figure"]]:
    from plotly.graph_objects import Scatter

    for name, label, factor in PRICES:
        chart = _chart(label, "average accuracy [%]")
        for group, colour in zip(groups, task_colours(len(groups)), strict=True):
            points = [
                (factor * x, 100 * y, seed)
                for x, y, seed in zip(
                    group.values[name], group.values["average_accuracy"], group.seeds, strict=True
                )
                if x is not None and y is not None
            ]
            chart.add_trace(
                Scatter(
                    x=[x for x, _, _ in points],
                    y=[y for _, y, _ in points],
                    text=[f"seed {seed}" for _, _, seed in points],
                    name=escape(one_line(group.name)),
                    mode="markers",
                    marker={"color": colour, "size": 10},
                )
            )
        yield f"Average accuracy against {label}", chart


def _lines(x: NDArray[Any], accuracy: Matrix, label: str, *, markers: bool = False) -> "Figure":
    """One line a task; a click on a name hides it, two leave it alone."""
    from plotly.graph_objects import Scatter

    chart = _chart(label, "accuracy on each task [%]")
    for task, colour in enumerate(task_colours(accuracy.shape[1])):
        known = ~np.isnan(accuracy[:, task])
        chart.add_trace(
            Scatter(
                x=x[known].tolist(),
                y=(100 * accuracy[known, task]).tolist(),
                name=f"task {task + 1}",
                mode="lines+markers" if markers else "lines",
                line={"color": colour},
            )
        )
    chart.update_yaxes(range=[-2, 102])
    chart.update_layout(hovermode="x unified", hoverlabel={"bgcolor": "rgba(255,255,255,.9)"})
    return chart


def _heat_map(matrix: Matrix) -> "Figure":
    from plotly.graph_objects import Heatmap

    tasks = [str(task + 1) for task in range(len(matrix))]
    chart = _chart("test task", "after task")
    chart.add_trace(
        Heatmap(
            x=tasks,
            y=tasks,
            z=[[None if np.isnan(cell) else 100 * cell for cell in row] for row in matrix],
            zmin=0,
            zmax=100,
            colorscale=[[0, "white"], [1, HEAT]],
            colorbar={"title": {"text": "accuracy [%]"}},
            hovertemplate="after task %{y}, on task %{x}: %{z:.1f} %<extra></extra>",
            hoverongaps=False,
        )
    )
    chart.update_yaxes(autorange="reversed", type="category", showgrid=False)
    chart.update_xaxes(type="category", showgrid=False)
    return chart


def _embeddings(run: Run) -> "Figure | None":
    from plotly.graph_objects import Scatter

    answers = read_all(run.folder)
    last = answers[max(answers)] if answers else None
    if last is None or len(last.embeddings) < 2:
        return None
    points, _, _ = project(last.embeddings, last.centres)
    columns = last.targets[last.embedded]
    chart = _chart("component 1", "component 2")
    found = np.unique(columns).tolist()
    names = dict(enumerate(run.manifest.get("class_names") or ()))
    for column, colour in zip(found, task_colours(len(found)), strict=True):
        chosen = columns == column
        chart.add_trace(
            Scatter(
                x=points[chosen, 0].tolist(),
                y=points[chosen, 1].tolist(),
                name=escape(one_line(names.get(column, column))),
                mode="markers",
                marker={"color": colour, "size": 6},
            )
        )
    return chart


def _chart(across: str, up: str) -> "Figure":
    from plotly.graph_objects import Figure

    chart = Figure()
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": INK}
    chart.update_xaxes(title=across, **axis)
    chart.update_yaxes(title=up, **axis)
    chart.update_layout(
        height=420,
        margin={"l": 60, "r": 10, "t": 30, "b": 50},
        font={"color": INK, "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": -0.2},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": INK, "activecolor": HEAT},
    )
    return chart

"""``interactive.html``: the charts of a run or of a comparison, to be pointed at and zoomed into.

Drawn by plotly, whose whole script (5 MB) stands in the page, so that it needs no network either;
therefore only on request.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from contsemi.errors import PackageMissing
from contsemi.metrics.projection import project
from contsemi.records.finished import FinishedRun
from contsemi.report.comparison import Group
from contsemi.report.figures.comparison import FEW, PRICES
from contsemi.report.figures.palette import HEAT
from contsemi.report.material import Material
from contsemi.report.pages.environment import fill
from contsemi.report.words import one_line

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Readable on white and on black paper: plotly does not follow the reader's colour scheme.
INK, GRID = "#7b7b7b", "rgba(128,128,128,.3)"
FEW_TASKS = 20  # whose numbers fit at an axis
# Far apart in hue, of a lightness that stands on both papers.
HUES = ("#1f83c6", "#e8700e", "#0aa37a", "#d1569e", "#c79100", "#8a6be0", "#d0404b", "#3fb5c4")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "hexagon")


def marks(place: int) -> dict[str, str]:
    """Colour, dash and symbol of the n-th of many: 48 that can be told apart."""
    turn, hue = divmod(place, len(HUES))
    return {
        "color": HUES[hue],
        "dash": DASHES[turn % len(DASHES)],
        "symbol": SYMBOLS[turn % len(SYMBOLS)],
    }


def interactive_page(run: FinishedRun) -> bytes:
    """The page of one run: curves, curves inside tasks, losses, matrices, embeddings.

    Raises:
        InputError: plotly is not installed, or a file of the run is damaged.
    """
    return _page(run.title, _of_run(run))


def interactive_comparison(groups: Sequence[Group]) -> bytes:
    """The page of several runs: curves over tasks, accuracy against forgetting, time and memory.

    Args:
        groups: of :func:`contsemi.report.comparison.compare`.

    Raises:
        PackageMissing: plotly is not installed.
    """
    return _page("Comparison of runs", _of_groups(groups))


def _page(title: str, charts: Iterator[tuple[str, "Figure"]]) -> bytes:
    try:
        import plotly  # noqa: F401
    except ImportError as missing:
        raise PackageMissing(
            "--interactive", "plotly is not installed", "pip install 'contsemi[plots]'"
        ) from missing
    drawn = [
        (heading, Markup(_html(chart, first=number == 0)))
        for number, (heading, chart) in enumerate(charts)
    ]
    return fill("interactive.html", title=title, charts=drawn)


def _html(chart: "Figure", *, first: bool) -> str:
    config = {"responsive": True, "displaylogo": False}
    return str(chart.to_html(full_html=False, include_plotlyjs=first, config=config))


def _of_run(run: FinishedRun) -> Iterator[tuple[str, "Figure"]]:
    material, tasks = Material.of(run), len(run.class_incremental)
    names = [material.names.of_task(task) for task in range(tasks)]
    after = np.arange(1, tasks + 1)
    lines = {name: (after, run.class_incremental[:, task]) for task, name in enumerate(names)}
    curves = _lines(_shares(lines), "after task", "accuracy on each task [%]", markers=True)
    yield "Forgetting curves", curves.update_xaxes(dtick=1 if tasks <= FEW_TASKS else None)
    if "class_incremental" in run.trajectories:
        inside = run.trajectories["class_incremental"]
        lines = {
            material.names.of_task(task): (inside.steps, inside.accuracy[:, task])
            for task in range(inside.tasks)
        }
        yield (
            "Inside tasks",
            _lines(_shares(lines), "optimiser steps", "accuracy on each task [%]"),
        )
    if material.losses:
        losses = {name: (rows[:, 0], rows[:, 1]) for name, rows in material.losses.items()}
        yield "Losses", _lines(losses, "optimiser steps", "loss").update_yaxes(range=None)
    kinds = {"Class": run.class_incremental, "Task": run.task_incremental}
    numbers = [str(task) for task in after]
    for kind, matrix in kinds.items():
        words = "after task %{y}, on %{x}: %{z:.1f} %<extra></extra>"
        chart = _heat_map(matrix, (names, numbers), ("test task", "after task"), words)
        yield f"{kind}-incremental accuracy", chart
    if material.last is not None:
        counts = material.last.confusion()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        classes = [material.names.of_class(column) for column in range(len(counts))]
        words = "%{y} taken for %{x}: %{z:.1f} %<extra></extra>"
        axes = ("predicted class", "true class")
        yield "Confusion after the last task", _heat_map(shares, (classes, classes), axes, words)
    if (embeddings := _embeddings(material)) is not None:
        yield "Embeddings of test images after the last task", embeddings


def _of_groups(groups: Sequence[Group]) -> Iterator[tuple[str, "Figure"]]:
    lines = {
        group.name: (np.arange(1, group.curves.shape[1] + 1), 100 * group.curves.mean(axis=0))
        for group in groups
    }
    up = "average accuracy so far [%]"
    yield "Methods over the stream", _lines(lines, "after task", up, markers=True)
    for name, (label, factor) in PRICES.items() if len(groups) >= FEW else ():
        chart = _chart(label, "average accuracy [%]")
        for place, group in enumerate(groups):
            points = [
                (factor * x, 100 * y, f"seed {seed}")
                for x, y, seed in zip(
                    group.values[name], group.values["average_accuracy"], group.seeds, strict=True
                )
                if x is not None and y is not None
            ]
            _dots(chart, group.name, place, points, size=10)
        yield f"Average accuracy against {label}", chart


def _shares(
    lines: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    return {name: (x, 100 * y) for name, (x, y) in lines.items()}


def _lines(
    lines: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    across: str,
    up: str,
    *,
    markers: bool = False,
) -> "Figure":
    """Lines by name; a click on a name hides it, two leave it alone."""
    from plotly.graph_objects import Scatter

    chart = _chart(across, up)
    for place, (name, (x, y)) in enumerate(lines.items()):
        known, look = ~np.isnan(y), marks(place)
        chart.add_trace(
            Scatter(
                x=x[known].tolist(),
                y=y[known].tolist(),
                name=_text(name),
                mode="lines+markers" if markers else "lines",
                line={"color": look["color"], "dash": look["dash"]},
                marker={"symbol": look["symbol"]},
            )
        )
    chart.update_yaxes(range=[-2, 102])
    chart.update_layout(hovermode="x unified", hoverlabel={"bgcolor": "rgba(255,255,255,.9)"})
    return chart


def _heat_map(
    shares: NDArray[np.float64],
    names: tuple[list[str], list[str]],
    axes: tuple[str, str],
    words: str,
) -> "Figure":
    from plotly.graph_objects import Heatmap

    chart = _chart(*axes)
    x, y = ([_text(name) for name in each] for each in names)
    chart.add_trace(
        Heatmap(
            x=list(range(len(x))),
            y=list(range(len(y))),
            z=[[None if np.isnan(cell) else 100 * cell for cell in row] for row in shares],
            zmin=0,
            zmax=100,
            colorscale=[[0, "rgba(0,114,178,0)"], [1, HEAT]],
            colorbar={"title": {"text": "[%]"}},
            hovertemplate=words,
            hoverongaps=False,
        )
    )
    few = {"nticks": FEW_TASKS} if max(len(x), len(y)) > FEW_TASKS else {}
    for update, words_at in ((chart.update_xaxes, x), (chart.update_yaxes, y)):
        update(tickmode="array", tickvals=list(range(len(words_at))), ticktext=words_at, **few)
        update(showgrid=False)
    chart.update_yaxes(autorange="reversed")
    return chart


def _embeddings(material: Material) -> "Figure | None":
    last = material.last
    if last is None or len(last.embeddings) < 2:
        return None
    points, _, _ = project(last.embeddings, last.centres)
    columns, rows = last.targets[last.embedded], last.rows[last.embedded]
    predicted = last.predicted[last.embedded]
    chart = _chart("component 1", "component 2")
    for place, column in enumerate(np.unique(columns).tolist()):
        chosen = np.flatnonzero(columns == column).tolist()
        told = []
        for each in chosen:
            row = int(rows[each])
            file = material.paths[row] if row < len(material.paths) else f"test image {row}"
            told.append(f"{file}, taken for {material.names.of_class(int(predicted[each]))}")
        here = [(*points[each].tolist(), words) for each, words in zip(chosen, told, strict=True)]
        _dots(chart, material.names.of_class(column), place, here, size=6)
    return chart


def _dots(
    chart: "Figure", name: str, place: int, points: Sequence[tuple[float, float, str]], size: int
) -> None:
    from plotly.graph_objects import Scatter

    look = marks(place)
    x, y, words = (list(each) for each in zip(*points, strict=True)) if points else ([], [], [])
    chart.add_trace(
        Scatter(
            x=x,
            y=y,
            text=[_text(each) for each in words],
            name=_text(name),
            mode="markers",
            marker={"color": look["color"], "symbol": look["symbol"], "size": size},
        )
    )


def _text(text: object) -> str:
    return escape(one_line(text))


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

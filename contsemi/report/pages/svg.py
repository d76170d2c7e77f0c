"""The forgetting curves as inline SVG: drawn by hand, so that the page's colours apply to it."""

from collections.abc import Iterable

import numpy as np

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.matrix import Matrix, Undefined
from contsemi.metrics.trajectory import Trajectory
from contsemi.report.figures.palette import task_colours
from contsemi.report.figures.spread import spread

__all__ = ["curves", "step_curves"]

WIDTH, HEIGHT = 420, 300
# Right of RIGHT stands "mean" in bold: room for it in the widest of the usual fonts.
LEFT, RIGHT, TOP, BOTTOM = 46, 358, 10, 258
# More labels than this need smaller type to stand under each other.
FEW_TASKS = 12


def curves(matrix: Matrix) -> str:
    """One line a task over the stream, numbered at its end; the mean is dashed.

    Args:
        matrix: R [T, T], fractions, NaN where not measured.
    """
    tasks = len(matrix)
    after = [LEFT + (RIGHT - LEFT) * (i + 0.5) / tasks for i in range(tasks)]
    averages = [average_accuracy(matrix, task) for task in range(tasks)]
    means = np.array([np.nan if isinstance(mean, Undefined) else mean for mean in averages])
    colours = task_colours(tasks)
    series = [
        (str(task + 1), colours[task], matrix[:, task], 3.2 if tasks <= FEW_TASKS else 2.0)
        for task in range(tasks)
    ]
    if tasks > 1:
        series.append(("mean", "currentColor", means, 0.0))
    lines = "".join(_line(name, colour, after, column, r) for name, colour, column, r in series)
    ends = [(name, colour, column[-1]) for name, colour, column, _ in series]
    step = -(-tasks // 10)
    ticks = [(after[task], str(task + 1)) for task in range(step - 1, tasks, step)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="class-incremental accuracy on each task after each task">'
        f"{_axes(ticks, 'after task')}{lines}{_labels(after[-1], ends, tasks)}</svg>"
    )


def step_curves(trajectory: Trajectory) -> str:
    """One line a task over optimiser steps; dotted lines stand where a task begins.

    Args:
        trajectory: evaluations inside tasks.
    """
    tasks, most = trajectory.tasks, max(int(trajectory.steps[-1]), 1)
    x = [LEFT + (RIGHT - LEFT) * int(step) / most for step in trajectory.steps]
    colours = task_colours(tasks)
    lines = "".join(
        _line(str(task + 1), colours[task], x, trajectory.accuracy[:, task], 0.0, dashed=False)
        for task in range(tasks)
    )
    switches = "".join(
        f'<line class="grid" stroke-dasharray="2 3" x1="{x[end]:.1f}" x2="{x[end]:.1f}" '
        f'y1="{TOP}" y2="{BOTTOM}"/>'
        for end in map(trajectory.end_of, range(tasks - 1))
        if end is not None
    )
    ticks = [(LEFT + (RIGHT - LEFT) * share, f"{most * share:.0f}") for share in (0, 0.5, 1)]
    ends = [(str(j + 1), colours[j], trajectory.accuracy[-1, j]) for j in range(tasks)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="accuracy on each task over optimiser steps">'
        f"{_axes(ticks, 'optimiser steps')}{switches}{lines}{_labels(x[-1], ends, tasks)}</svg>"
    )


def _y(fraction: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * fraction


def _axes(ticks: list[tuple[float, str]], name: str) -> str:
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{RIGHT + 6}" y1="{_y(y):.1f}" y2="{_y(y):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{_y(y) + 4:.1f}" text-anchor="end">{100 * y:.0f}</text>'
        for y in (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    parts += [
        f'<text x="{x:.1f}" y="{BOTTOM + 16}" text-anchor="middle">{tick}</text>'
        for x, tick in ticks
    ]
    middle = (TOP + BOTTOM) / 2
    return "".join(parts) + (
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{name}</text>'
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        "accuracy on each task [%]</text>"
    )


def _line(
    name: str,
    colour: str,
    after: list[float],
    column: Iterable[float],
    radius: float,
    *,
    dashed: bool = True,
) -> str:
    points = [(x, _y(value)) for x, value in zip(after, column, strict=True) if not np.isnan(value)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = (
        'stroke-width="2.4" stroke-dasharray="6 3"'
        if dashed and not radius
        else 'stroke-width="1.6"'
    )
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in points if radius)
    title = f"<title>{name if name == 'mean' else f'task {name}'}</title>"
    return (
        f'<g fill="{colour}" stroke="{colour}">{title}'
        f'<polyline fill="none" {style} points="{path}"/>{dots}</g>'
    )


def _labels(x: float, ends: list[tuple[str, str, float]], tasks: int) -> str:
    measured = [end for end in ends if not np.isnan(end[2])]
    size = 12.0 if tasks <= FEW_TASKS else 9.0
    wanted = [_y(value) for _, _, value in measured]
    places = spread(wanted, gap=size, low=TOP + 2, high=BOTTOM)
    return "".join(
        f'<line stroke="{colour}" stroke-width="0.6" x1="{x + 3:.1f}" y1="{start:.1f}" '
        f'x2="{RIGHT + 14}" y2="{place:.1f}"/>'
        f'<text class="{"mean" if name == "mean" else "task"}" x="{RIGHT + 17}" '
        f'y="{place + size / 3:.1f}" style="font-size:{size:g}px">{name}</text>'
        for (name, colour, _), start, place in zip(measured, wanted, places, strict=True)
    )

"""Average accuracy against one price as inline SVG; points are the numbers of their methods."""

import math
from collections.abc import Sequence
from html import escape

from contsemi.report.comparison import Group
from contsemi.report.figures.palette import task_colours
from contsemi.report.words import one_line

__all__ = ["round_ticks", "scatter"]

WIDTH, HEIGHT = 360, 300
LEFT, RIGHT, TOP, BOTTOM = 50, 344, 12, 252


def scatter(groups: Sequence[Group], name: str, label: str, factor: float) -> str:
    """One chart; colours repeat what the numbers say.

    Args:
        groups: numbered from 1 in this order.
        name: of the value on the horizontal axis.
        label: what stands at that axis, with its unit.
        factor: from the value to that unit.
    """
    points = [
        (number, group, factor * x, 100 * y)
        for number, group in enumerate(groups, start=1)
        for x, y in zip(group.values[name], group.values["average_accuracy"], strict=True)
        if x is not None and y is not None
    ]
    across = _span([x for _, _, x, _ in points])
    up = _span([y for _, _, _, y in points])
    colours = task_colours(len(groups))
    marks = "".join(
        f'<g fill="{colours[number - 1]}" stroke="none"><title>{escape(one_line(group.name))}: '
        f"{y:.1f}% at {x:.4g}</title>"
        f'<circle cx="{_x(x, across):.1f}" cy="{_y(y, up):.1f}" r="8" fill-opacity="0.3"/></g>'
        f'<text class="task" x="{_x(x, across):.1f}" y="{_y(y, up) + 4:.1f}" '
        f'text-anchor="middle">{number}</text>'
        for number, group, x, y in points
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="average accuracy against {escape(label)}">'
        f"{_axes(across, up, label)}{marks}</svg>"
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis with some room around the values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.1 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - room, high + room


def round_ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two ends: two to six of them."""
    wanted = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= wanted * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{step * number:.12g}") for number in range(first, last + 1)]


def _x(value: float, span: tuple[float, float]) -> float:
    return LEFT + (RIGHT - LEFT) * (value - span[0]) / (span[1] - span[0])


def _y(value: float, span: tuple[float, float]) -> float:
    return BOTTOM - (BOTTOM - TOP) * (value - span[0]) / (span[1] - span[0])


def _axes(across: tuple[float, float], up: tuple[float, float], label: str) -> str:
    parts = []
    for value in round_ticks(*up):
        height = _y(value, up)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in round_ticks(*across):
        parts.append(
            f'<text x="{_x(value, across):.1f}" y="{BOTTOM + 18}" text-anchor="middle">'
            f"{value:g}</text>"
        )
    parts.append(
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}'
        f'</text><text transform="translate(12 {(TOP + BOTTOM) / 2}) rotate(-90)" '
        'text-anchor="middle">average accuracy [%]</text>'
    )
    return "".join(parts)

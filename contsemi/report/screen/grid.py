"""A table that stays readable at any width."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def grid(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int,
    footer: Sequence[str] | None = None,
) -> RenderableType:
    """Columns where they fit into ``width``, closer ones where that helps, else lines of words.

    Args:
        title: stands above.
        header: name of each column; a line feed breaks it.
        rows: cells, the first of each names the row.
        width: columns of the screen.
        footer: a last row below a rule.
    """
    every = [*rows, footer] if footer else list(rows)
    for gap in (2, 1):
        if least_width([header, *every], gap=gap) <= width:
            return _table(title, header, every, gap=gap, rule=len(rows))
    return _words(title, header, every)


def least_width(rows: Sequence[Sequence[str]], *, gap: int) -> int:
    """Columns of the screen that a table of these cells takes."""
    widths = (
        max(len(line) for row in rows for line in row[column].split("\n"))
        for column in range(len(rows[0]))
    )
    return sum(widths) + gap * (len(rows[0]) - 1)


def _table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, gap: int, rule: int
) -> RenderableType:
    # The box itself puts one column between cells.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, show_edge=False)
    for position, name in enumerate(header):
        table.add_column(Text(name), justify="right" if position else "left", no_wrap=True)
    for position, row in enumerate(rows, start=1):
        table.add_row(*map(Text, row), end_section=position == rule < len(rows))
    return Group(Text(title, style="bold"), table)


def _words(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Text:
    names = [name.replace("-\n", "-").replace("\n", " ") for name in header]
    lines = [title]
    for row in rows:
        pairs = zip(names[1:], row[1:], strict=True)
        lines.append(
            f"{names[0]} {row[0]}: ".lstrip()
            + ", ".join(f"{name} {value}" for name, value in pairs if value)
        )
    return Text("\n".join(lines))

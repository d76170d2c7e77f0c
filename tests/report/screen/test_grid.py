"""A table fits its screen or turns into lines of words."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from contsemi.report.screen.grid import grid, least_width

HEADER = ["task", "class-\nincremental", "forgetting"]
ROWS = [["1", "98.6", "1.2"], ["2", "90.1", ""]]


def rendered(part, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(part)
    return console.file.getvalue().splitlines()


def test_least_width_counts_broken_headers():
    assert least_width([HEADER, *ROWS], gap=1) == len("task") + 11 + 10 + 2


@given(st.integers(27, 60))
def test_a_table_never_wraps(width):
    lines = rendered(grid("t", HEADER, ROWS, width=width, footer=["mean", "94.3", "-"]), width)
    assert max(map(len, lines)) <= width
    assert [line.split() for line in lines if "98.6" in line] == [["1", "98.6", "1.2"]]
    assert lines[-1].split() == ["mean", "94.3", "-"]
    assert len(lines) == 8


def test_words_where_columns_do_not_fit():
    part = grid("title", HEADER, ROWS, width=26)
    assert isinstance(part, Text)
    assert part.plain.splitlines() == [
        "title",
        "task 1: class-incremental 98.6, forgetting 1.2",
        "task 2: class-incremental 90.1",
    ]

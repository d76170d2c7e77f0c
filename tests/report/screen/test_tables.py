"""The closing tables say what the matrix says, at any width and length of stream."""

import io
import re

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from contsemi.records.finished import load_run
from contsemi.report.screen.tables import closing


def shown(run, width):
    console = Console(file=io.StringIO(), width=width)
    for part in closing(run, width):
        console.print(part, soft_wrap=isinstance(part, Text))
    return console.file.getvalue()


def test_matrix_where_it_fits(make_run):
    matrix = np.array([[0.5, np.nan, np.nan], [0.8, 0.7, np.nan], [0.6, 0.5, 1.0]])
    text = shown(load_run(make_run(matrix=matrix)), 80)
    rows = [line.split() for line in text.splitlines()]
    assert ["2", "80.0", "70.0", "75.0"] in rows
    assert ["3", "60.0", "50.0", "100", "70.0"] in rows
    assert ["forgetting", "20.0", "20.0", "-", "20.0"] in rows
    assert ["average", "accuracy", "70.0", "82.7"] in rows
    assert "memory 3.3 MiB · time 1 min 01 s · 2,346 images/s" in text


@pytest.mark.parametrize("width", [60, 80, 118, 200])
@pytest.mark.parametrize("tasks", [1, 2, 5, 10, 20])
def test_no_line_is_wider_than_the_screen(make_run, tasks, width):
    run = load_run(make_run(tasks))
    text = shown(run, width)
    assert max(len(line) for line in text.splitlines()) <= width
    last = 100 * run.class_incremental[-1]
    assert all(f"{accuracy:.1f}" in text for accuracy in last)


def test_narrow_screens_get_the_history_of_each_task(make_run):
    matrix = np.array([[0.5, np.nan], [0.25, 0.75]])
    text = shown(load_run(make_run(matrix=matrix)), 20)
    assert "task 1: learned 50.0, best 50.0, at the end 25.0, forgetting 25.0\n" in text
    assert "task 2: learned 75.0, best 75.0, at the end 75.0, forgetting -\n" in text
    assert re.search("^average accuracy: class-incremental 50.0", text, re.MULTILINE)


def test_one_task_says_why_forgetting_is_missing(make_run):
    assert "not defined: a stream of one task has nothing to forget" in shown(
        load_run(make_run(1)), 80
    )


def test_other_predictors_are_one_line(make_run):
    assert "average accuracy by" not in shown(load_run(make_run(2)), 80)
    run = load_run(make_run(2))
    run.results["predictors"] = {
        "headline": {"average_accuracy": 0.9},
        "classifier": {"average_accuracy": 0.875},
        "index": {"average_accuracy": 0.5},
    }
    assert "\naverage accuracy by classifier 87.5, index 50.0\n" in shown(run, 80)

"""The curves of the page are the columns of the matrix."""

from xml.etree import ElementTree

import numpy as np
import pytest

from contsemi.records.finished import load_run
from contsemi.report.pages.svg import BOTTOM, TOP, WIDTH, curves


@pytest.mark.parametrize("tasks", [1, 5, 20])
def test_lines(make_run, tasks):
    matrix = load_run(make_run(tasks)).class_incremental
    root = ElementTree.fromstring(curves(matrix))
    groups = {g.find("title").text: g.find("polyline").get("points") for g in root.iter("g")}
    assert ("mean" in groups) == (tasks > 1)
    for task in range(tasks):
        points = [tuple(map(float, p.split(","))) for p in groups[f"task {task + 1}"].split()]
        heights = [(BOTTOM - y) / (BOTTOM - TOP) for _, y in points]
        np.testing.assert_allclose(heights, matrix[task:, task], atol=0.001)
        assert [x for x, _ in points] == sorted({x for x, _ in points})
    labels = [text.text for text in root.iter("text") if text.get("class")]
    assert len(labels) == tasks + (tasks > 1)


@pytest.mark.parametrize("tasks", [5, 20])
def test_the_names_at_the_ends_are_inside_the_picture(make_run, tasks):
    root = ElementTree.fromstring(curves(load_run(make_run(tasks)).class_incremental))
    (mean,) = (text for text in root.iter("text") if text.get("class") == "mean")
    size = float(mean.get("style").removeprefix("font-size:").removesuffix("px"))
    em_in_wide_bold_type = 3.11  # "mean" in DejaVu Sans Bold
    assert float(mean.get("x")) + em_in_wide_bold_type * size <= WIDTH


def test_unmeasured_cells_are_left_out():
    matrix = np.array([[0.5, np.nan], [np.nan, np.nan]])
    drawn = curves(matrix)
    assert "nan" not in drawn
    ElementTree.fromstring(drawn)

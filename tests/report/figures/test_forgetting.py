"""The picture shows the matrix, legibly, without touching the state of pyplot."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from contsemi.records.finished import load_run
from contsemi.report.figures.drawing import figure as drawn_of
from contsemi.report.figures.drawing import pictures
from contsemi.report.figures.forgetting import drawing
from contsemi.report.material import Material


def figure(run):
    return drawn_of(drawing(Material.of(run)))


def render(run):
    return pictures(drawing(Material.of(run)))["forgetting.png"]


def left_and_right(drawn):
    return drawn.axes[0], drawn.axes[1]


@pytest.mark.parametrize("tasks", [1, 2, 5, 10, 20])
def test_curves_are_the_columns_of_the_matrix(make_run, tasks):
    run = load_run(make_run(tasks))
    left, right = left_and_right(figure(run))
    lines = left.get_lines()
    assert len(lines) == (tasks + 1 if tasks > 1 else 1)
    for task in range(tasks):
        np.testing.assert_array_equal(lines[task].get_xdata(), np.arange(task + 1, tasks + 1))
        np.testing.assert_allclose(
            lines[task].get_ydata(), 100 * run.class_incremental[task:, task]
        )
    if tasks > 1:
        np.testing.assert_allclose(
            lines[-1].get_ydata(), 100 * np.nanmean(run.class_incremental, axis=1)
        )
    image = right.images[0].get_array()
    np.testing.assert_allclose(image.filled(np.nan), 100 * run.class_incremental)
    numbers = {text.get_position(): text.get_text() for text in right.texts}
    if tasks > 10:
        assert numbers == {}
    else:
        assert len(numbers) == tasks * (tasks + 1) // 2
        assert numbers[(0, tasks - 1)] == f"{100 * run.class_incremental[-1, 0]:.0f}"


@pytest.mark.parametrize("tasks", [5, 10, 20])
@pytest.mark.quick(1)
def test_labels_stay_apart_and_inside(make_run, tasks):
    drawn = figure(load_run(make_run(tasks, matrix=np.where(np.tri(tasks) > 0, 0.5, np.nan))))
    drawn.savefig(io.BytesIO())
    left, right = left_and_right(drawn)
    assert len(left.texts) == tasks + 1
    # Of the words alone: an annotation's own extent includes its leader.
    boxes = [Text.get_window_extent(text) for text in left.texts]
    middles = sorted((box.y0 + box.y1) / 2 for box in boxes)
    digit = 0.73 * left.texts[0].get_fontsize() * drawn.dpi / 72
    assert all(upper - lower > 1.1 * digit for lower, upper in itertools.pairwise(middles))
    assert all(left.bbox.x0 < box.x0 and box.x1 < right.get_tightbbox().x0 for box in boxes)


def test_words(make_run):
    left, right = left_and_right(drawn := figure(load_run(make_run(method="a$_b^{$", seed=7))))
    assert drawn.get_suptitle() == "a$_b^{$ · digits · labels 5% · seed 7"
    assert "[%]" in left.get_ylabel()
    assert left.get_xlabel() == right.get_ylabel() == "after task"
    assert right.get_xlabel() == "test task"
    drawn.savefig(io.BytesIO())


def test_a_png_as_wide_as_a_page_and_always_the_same(make_run):
    run = load_run(make_run(3))
    content = render(run)
    assert content == render(run)
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    assert image.width > 1500
    assert len(np.unique(np.asarray(image.convert("L")))) > 100


def test_unmeasured_cells_are_gaps(make_run):
    matrix = np.array([[0.5, np.nan, np.nan], [np.nan, 0.7, np.nan], [0.6, 0.5, np.nan]])
    assert render(load_run(make_run(matrix=matrix)))


@pytest.mark.thorough
def test_pyplot_is_not_imported():
    code = "import contsemi.report.figures.catalogue; import sys; "
    code += "sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

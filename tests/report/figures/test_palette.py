"""Colours of tasks."""

import pytest

from contsemi.report.figures.palette import task_colours


@pytest.mark.parametrize("tasks", [1, 2, 6, 7, 20, 100])
def test_one_distinct_visible_colour_a_task(tasks):
    """Visible: neither near white nor near black (relative luminance of WCAG)."""
    colours = task_colours(tasks)
    assert len(set(colours)) == len(colours) == tasks
    for colour in colours:
        linear = [(c / 255) ** 2.2 for c in bytes.fromhex(colour[1:])]
        luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 0.03 < luminance < 0.5

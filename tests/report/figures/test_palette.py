"""Colours of tasks."""

import pytest

from contsemi.report.figures.palette import in_the_dark, task_colours


@pytest.mark.parametrize("tasks", [1, 2, 6, 7, 20, 100])
def test_one_distinct_visible_colour_a_task(tasks):
    """Visible: neither near white nor near black (relative luminance of WCAG)."""
    colours = task_colours(tasks)
    assert len(set(colours)) == len(colours) == tasks
    for colour in colours:
        linear = [(c / 255) ** 2.2 for c in bytes.fromhex(colour[1:])]
        luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 0.03 < luminance < 0.5


@pytest.mark.parametrize("tasks", [6, 20])
def test_on_dark_paper_every_colour_stands_out(tasks):
    """A contrast of 3 to 1 and more, as WCAG asks of what is drawn."""

    def luminance(colour):
        parts = [channel / 255 for channel in bytes.fromhex(colour[1:])]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for colour in (*task_colours(tasks), "#1b1b1b", "#595959", "#000001"):
        assert (luminance(in_the_dark(colour)) + 0.05) / (luminance("#141414") + 0.05) > 3

"""The pages of real runs in a real browser: they fit, run without an error, and all is drawn.

    python -m pytest -m slow tests/report/pages/test_browser.py

Screenshots are left in the folder that CONTSEMI_SCREENSHOTS names, to be looked at.
"""

import json
import os
from pathlib import Path

import pytest

from contsemi import pipeline
from contsemi.report.__main__ import main

pytestmark = pytest.mark.slow

# What the page looks like from inside. Folded parts are opened, which is the widest it gets.
# Plotly lays several sheets over each other; the lowest has the drawing.
LOOK = """(async () => {
  const DRAWINGS = 'svg:not(.js-plotly-plot svg,#js-plotly-tester),.main-svg:first-child';
  document.querySelectorAll('details').forEach(each => each.open = true);
  const images = [...document.images];
  await Promise.allSettled(images.map(each => each.decode()));
  const box = each => each.getBoundingClientRect();
  const inside = each => each.closest('.wide,pre') !== null;
  return JSON.stringify({
    width: innerWidth,
    columns: getComputedStyle(document.querySelector('main') ?? document.body)
      .gridTemplateColumns.split(' ').length,
    needed: document.documentElement.scrollWidth,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    paper: getComputedStyle(document.body).backgroundColor,
    images: images.map(each => [each.naturalWidth, box(each).width, box(each).height]),
    drawings: [...document.querySelectorAll(DRAWINGS)].map(
      each => [each.querySelectorAll('*').length, box(each).width, box(each).height,
               each.getBBox().width, each.getBBox().height]),
    cut: [...document.querySelectorAll(DRAWINGS)].map(
      each => each.getBBox().width - (each.viewBox.baseVal?.width || box(each).width)
      ).filter(more => more > 1),
    small: [...document.querySelectorAll('svg text')].map(
      each => box(each).height).filter(height => 0 < height && height < 8).length,
    outside: [...document.querySelectorAll('body *')].filter(
      each => !inside(each) && box(each).right > innerWidth + 1).map(each => each.tagName),
  });
})()"""


def looked(browser, file, *, width, scheme):
    """What went wrong on the page, and what :data:`LOOK` finds."""
    browser.open(file, width=width, scheme=scheme)
    found = json.loads(browser.value(LOOK))
    return browser.wrong, found


@pytest.fixture(scope="module")
def pages(small, tmp_path_factory):
    """report.html of a small run with curves inside tasks, and the comparison of four."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [folder / f"{method}{seed}" for method in ("contsemi", "suave") for seed in (0, 1)]
    for run in runs:
        words = [f"method={run.name[:-1]}", f"seed={run.name[-1]}", "evaluate.every_steps=3"]
        words += ["scenario.tasks=3", "scenario.classes=6", "model.width=8"]
        pipeline.run(small(*words, "objective.labelled_views=1", f"output={run}"))
    comparison = folder / "comparison"
    assert main([*map(str, runs), "--output", str(comparison), "--interactive"]) == 0
    assert main([str(runs[0]), "--interactive"]) == 0
    return {
        "report": runs[0] / "report.html",
        "comparison": comparison / "comparison.html",
        "interactive": runs[0] / "interactive.html",
        "interactive comparison": comparison / "interactive.html",
    }


def test_a_bad_page_is_seen(browser, tmp_path):
    """The looks below can fail: here are all faults that they are to find."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<p style='width:2000px'>wide</p><img src='none.png'><svg></svg><script>gone()</script>"
        "<svg width='99'><rect width='200' height='9'/></svg>"
    )
    wrong, found = looked(browser, page, width=390, scheme="light")
    assert wrong and found["needed"] > 390 and found["outside"] == ["P"]
    assert found["images"][0][0] == 0 and found["drawings"][0][0] == 0
    assert found["cut"] == [101]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("name", ["report", "comparison", "interactive", "interactive comparison"])
def test_the_page_in_a_browser(browser, pages, name, width, scheme):
    wrong, found = looked(browser, pages[name], width=width, scheme=scheme)
    if place := os.environ.get("CONTSEMI_SCREENSHOTS"):
        Path(place, f"{name}_{width}_{scheme}.png").write_bytes(browser.picture())
    assert wrong == []
    assert found["width"] == width and found["needed"] <= width and found["outside"] == []
    assert found["dark"] == (scheme == "dark")
    assert (found["paper"] == "rgb(255, 255, 255)") == (scheme == "light")
    assert len(found["drawings"]) >= (8 if name == "report" else 1)
    assert found["columns"] == (2 if width > 1100 else 1)
    for parts, *sides in found["drawings"]:
        assert parts > 5 and min(sides) > 100
    assert found["cut"] == []
    assert found["small"] == 0  # texts that nobody can read

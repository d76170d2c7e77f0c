"""The pages of real runs in a real browser: they fit, run without an error, and all is drawn.

    python -m pytest -m slow tests/report/test_browser.py

Screenshots are left in the folder that CONTSEMI_SCREENSHOTS names, to be looked at.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from contsemi import pipeline
from contsemi.report.__main__ import main

pytestmark = pytest.mark.slow

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
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


class Browser:
    """Chromium, told over a pipe in the DevTools protocol; one page at a time."""

    def __init__(self, program, profile):
        theirs, self.to = os.pipe()
        self.back, answers = os.pipe()
        # Away from 3 and 4, where Chromium looks for the pipe.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs, answers)]

        def place():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile)},
        )
        for fd in (theirs, answers, *high):
            os.close(fd)
        self.heard, self.rest, self.number = [], b"", 0
        pages = self.tell("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in pages if each["type"] == "page")
        attached = self.tell("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        for room in ("Page", "Runtime", "Log"):
            self.tell(f"{room}.enable")

    session = None

    def tell(self, method, **params):
        """One command; its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.heard.append(answer)

    def _next(self):
        until = time.monotonic() + 60
        while b"\0" not in self.rest:
            assert select.select([self.back], [], [], until - time.monotonic())[0], "no answer"
            more = os.read(self.back, 1 << 20)
            assert more, "the browser is gone"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, file, *, width, scheme):
        """Shows a file; what went wrong, and what :data:`LOOK` finds."""
        self.heard.clear()
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setEmulatedMedia", features=features)
        self.tell("Page.navigate", url=file.as_uri())
        while not any(each.get("method") == "Page.loadEventFired" for each in self.heard):
            self.heard.append(self._next())
        found = self.tell(
            "Runtime.evaluate", expression=LOOK, awaitPromise=True, returnByValue=True
        )
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        wrong = [each for each in self.heard if each.get("method") in bad]
        return wrong, json.loads(found["result"]["value"])

    def picture(self):
        """The whole page as a PNG file."""
        shot = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def close(self):
        """Ends it, in kindness first."""
        self.session = None
        with contextlib.suppress(OSError, AssertionError):
            self.tell("Browser.close")
        for fd in (self.to, self.back):
            os.close(fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("no chromium here")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


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
    wrong, found = browser.open(page, width=390, scheme="light")
    assert wrong and found["needed"] > 390 and found["outside"] == ["P"]
    assert found["images"][0][0] == 0 and found["drawings"][0][0] == 0
    assert found["cut"] == [101]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("name", ["report", "comparison", "interactive", "interactive comparison"])
def test_the_page_in_a_browser(browser, pages, name, width, scheme):
    wrong, found = browser.open(pages[name], width=width, scheme=scheme)
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

"""The display: what each mode prints, and that no terminal can end a run."""

import io
import os
import pty
import subprocess
import sys

import pytest

from contsemi.records.finished import load_run
from contsemi.report.screen.console import Display
from contsemi.report.screen.events import Progress, TaskDone

SHOW = """
import sys
from contsemi.report.screen.console import Display
from contsemi.report.screen.events import Progress, TaskDone
from contsemi.records.finished import load_run
with Display(sys.argv[1]) as display:
    display.start({"method": "contsemi", "classes": "B\\u00e4r"})
    for step in range(3):
        display.progress(Progress(task=0, tasks=2, epoch=0, epochs=1, step=step, steps=3))
    display.task_done(TaskDone(task=0, tasks=2, class_incremental=[0.5]))
    display.note("x" * int(sys.argv[3]))
    display.finish(load_run(sys.argv[2]), ["report.html"])
print("still here", file=sys.stderr)
"""


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def step(number=0):
    return Progress(
        task=1, tasks=5, epoch=2, epochs=20, step=number, steps=90, losses={"prototypes": 1.25}
    )


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    clock = Clock()
    return Display("auto", stream=io.StringIO(), clock=clock), clock


def printed(display):
    return display._console.file._stream.getvalue()


def test_a_line_every_half_minute_at_most(plain):
    display, clock = plain
    for second in range(100):
        clock.now = float(second)
        display.progress(step(second))
    lines = printed(display).splitlines()
    assert [line.split("  ")[2] for line in lines] == ["step 30/90", "step 60/90", "step 90/90"]
    assert lines[0] == "task 2/5  epoch 3/20  step 30/90  loss prototypes 1.25"


def test_a_line_a_task(plain):
    display, _ = plain
    row = [0.9, 0.8, None]
    display.task_done(
        TaskDone(task=2, tasks=5, class_incremental=row, forgetting=0.05, seconds=61.0)
    )
    assert printed(display) == (
        "task 3/5 done  accuracy 85.0%  forgetting 5.0%  1 min 01 s  by task 90.0 80.0 -\n"
    )


def test_foreign_text_is_no_markup(plain):
    display, _ = plain
    display.note("folder [red]x[/red] :smile:\x1b[2J\nnext")
    assert printed(display) == "note: folder [red]x[/red] :smile:?[2J next\n"


def test_quiet_prints_notes_and_the_end(make_run):
    display = Display("quiet", stream=io.StringIO())
    display.start({"method": "contsemi"})
    display.progress(step())
    display.task_done(TaskDone(task=0, tasks=1, class_incremental=[0.5]))
    assert printed(display) == ""
    display.note("threads differ")
    folder = make_run(2)
    display.finish(load_run(folder), ["report.html", "forgetting.png"])
    text = printed(display)
    assert text.startswith("note: threads differ\naccuracy [%]")
    assert text.endswith(f"files in {folder}: report.html, forgetting.png\n")


def show(mode, folder, *, note=10, **kwargs):
    environment = os.environ | kwargs.pop("environment", {})
    return subprocess.run(
        [sys.executable, "-c", SHOW, mode, str(folder), str(note)],
        env=environment,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
        **kwargs,
    )


def test_a_closed_pipe_does_not_end_the_run(make_run):
    """What ``| head`` does: the exit code stays 0 and Python has nothing to complain of."""
    reading, writing = os.pipe()
    os.close(reading)
    done = show("auto", make_run(2), note=100_000, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"still here\n")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"TERM": "dumb"},
        {"COLUMNS": "1"},
        {"TERM": ""},
        {"FORCE_COLOR": "1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["auto", "live"])
@pytest.mark.quick(7)
def test_strange_surroundings(make_run, mode, environment):
    done = show(mode, make_run(2), stdout=subprocess.PIPE, environment=environment)
    assert (done.returncode, done.stderr) == (0, b"still here\n")
    assert b"task 1/2 done  accuracy 50.0%" in done.stdout
    if "PYTHONIOENCODING" in environment:
        assert done.stdout.isascii()
        assert b"method contsemi - classes B?r" in done.stdout


@pytest.mark.parametrize(("term", "live"), [("xterm", True), ("dumb", False)])
def test_a_terminal_is_redrawn_where_it_can_be(make_run, term, live):
    leader, follower = pty.openpty()
    environment = {"TERM": term, "COLUMNS": "80", "LINES": "24"}
    done = show("auto", make_run(2), stdout=follower, environment=environment)
    os.set_blocking(leader, False)
    os.close(follower)
    output = b""
    try:
        while chunk := os.read(leader, 65536):
            output += chunk
    except OSError:  # Linux ends a terminal so
        pass
    os.close(leader)
    assert (done.returncode, done.stderr) == (0, b"still here\n")
    hidden, back = b"\x1b[?25l", b"\x1b[?25h"
    assert output.count(hidden) == output.count(back) == int(live)


def test_a_terminal_breaks_lines_between_words(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for name, value in {"TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    row = [0.5 + task / 1000 for task in range(20)]
    with Display("live", stream=terminal) as display:
        display.task_done(TaskDone(task=19, tasks=20, class_incremental=row))
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 80
    words = [word for line in lines for word in line.split()]
    assert words[-20:] == [f"{100 * value:.1f}" for value in row]

"""What happened inside tasks: the picture, the curves and tables of the page, and its absence."""

import re

import numpy as np
import pytest

from contsemi.metrics.stability_gap import gaps
from contsemi.records.finished import load_run
from contsemi.report.__main__ import main
from contsemi.report.figures.drawing import figure, pictures
from contsemi.report.figures.stability import drawing
from contsemi.report.material import Material
from contsemi.report.pages.page import page


def test_the_lines_are_the_curves(make_run):
    run = load_run(make_run(4, evaluations=5))
    it = run.trajectories["class_incremental"]
    left, right = figure(drawing(Material.of(run))).axes
    drawn = [line for line in left.lines if len(line.get_xdata()) == len(it)]
    assert len(drawn) == 4
    for task, line in enumerate(drawn):
        np.testing.assert_allclose(line.get_ydata(), 100 * it.accuracy[:, task])
    lowest = {}
    for gap in gaps(it):
        lowest.setdefault(gap.switch, []).append(100 * (gap.lowest - gap.before))
    switches = [line for line in right.lines if len(line.get_xdata()) == 6]
    for line, falls in zip(switches, lowest.values(), strict=True):
        assert line.get_xdata()[0] == line.get_ydata()[0] == 0
        assert line.get_ydata().min() == pytest.approx(np.mean(falls))
    assert right.get_legend().get_texts()[0].get_text() == "2"


@pytest.mark.parametrize("tasks", [1, 2, 12])
@pytest.mark.quick(1)
def test_any_length_of_stream(make_run, tasks):
    run = load_run(make_run(tasks, evaluations=3))
    assert pictures(drawing(Material.of(run))) == pictures(drawing(Material.of(run)))
    text = page(run).decode()
    assert "Inside tasks" in text
    assert text.count("<svg") == text.count("</svg>") == (4 if tasks > 1 else 3)
    assert text.count("</tr>") == text.count("<tr>")
    assert "nan" not in text.lower().replace("tenant", "")


def test_the_page_says_what_the_results_say(make_run):
    run = load_run(make_run(3, evaluations=4))
    text = page(run).decode()
    numbers = run.results["while_training"]["class_incremental"]
    assert f"<td>{100 * numbers['min_accuracy']:.1f}</td>" in text
    assert f"<td>{100 * numbers['gap_depth']:.1f}</td>" in text
    assert re.search(r'<th scope="row">evaluations<br><small>[^<]+</small></th><td>12</td>', text)


def test_without_evaluations_nothing_is_drawn(make_run):
    folder = make_run(3)
    assert b"Inside tasks" not in page(load_run(folder))
    assert main([str(folder)]) == 0
    assert not (folder / "stability.png").exists()


@pytest.mark.thorough
def test_the_command_draws_it(make_run, capsys):
    folder = make_run(3, evaluations=2)
    assert main([str(folder)]) == 0
    assert (folder / "stability.png").read_bytes().startswith(b"\x89PNG")
    assert "forgetting.png, forgetting.svg, stability.png" in capsys.readouterr().out


def test_damaged_curves_are_one_line(make_run, capsys):
    folder = make_run(2, evaluations=1)
    text = (folder / "metrics.jsonl").read_text().replace("class_incremental/task_1", "c/t/a/s/k")
    (folder / "metrics.jsonl").write_text(text)
    assert main([str(folder)]) == 2
    assert "metrics.jsonl" in capsys.readouterr().err

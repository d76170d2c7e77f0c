"""What plotly is given is what the run says, and nothing foreign in it acts."""

import json
import re
import sys

import numpy as np
import pytest

from contsemi.records.finished import load_run
from contsemi.report.__main__ import main
from contsemi.report.interactive import marks

pytest.importorskip("plotly")


def charts(page):
    """The traces of each chart of a page, in order, as plotly gets them."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r'Plotly\.newPlot\(\s*"[0-9a-f-]+",\s*', text):
        traces, _ = json.JSONDecoder().raw_decode(text, match.end())
        found.append(traces)
    return found


@pytest.mark.thorough
def test_a_run(make_run):
    folder = make_run(3, evaluations=4)
    assert main([str(folder), "--interactive"]) == 0
    curves, inside, losses, own, within = charts(folder / "interactive.html")
    run = load_run(folder)
    assert losses[0]["y"] == [1.5]
    for task, trace in enumerate(curves):
        assert trace["x"] == list(range(task + 1, 4))
        np.testing.assert_allclose(trace["y"], 100 * run.class_incremental[task:, task])
    assert [len(trace["y"]) for trace in inside] == [12, 8, 4]
    for (trace,), matrix in ((own, run.class_incremental), (within, run.task_incremental)):
        z = np.array(trace["z"], dtype=float)
        np.testing.assert_allclose(z, 100 * matrix)


@pytest.mark.thorough
def test_several_runs(make_run, tmp_path, capsys):
    runs = [str(make_run(3, seed=seed, memory={"exemplars": 2048 * (seed + 1)})) for seed in (0, 1)]
    assert main([*runs, "--interactive"]) == 2
    assert "--interactive: the page of several runs needs a folder" in capsys.readouterr().err
    assert main([*runs, "--interactive", "--output", str(tmp_path / "all")]) == 0
    (curves,) = charts(tmp_path / "all" / "interactive.html")
    means = [load_run(run).class_incremental for run in runs]
    means = [[np.nanmean(row) for row in each] for each in means]
    np.testing.assert_allclose(curves[0]["y"], 100 * np.mean(means, axis=0))
    others = [str(make_run(3, name=name, method=name)) for name in ("a", "b")]
    assert main([*runs, *others, "--interactive", "--output", str(tmp_path / "all")]) == 0
    _, _, _, memory = charts(tmp_path / "all" / "interactive.html")
    ours = next(each for each in memory if each["name"].startswith("contsemi"))
    assert ours["x"] == [2.0, 4.0] and ours["text"] == ["seed 0", "seed 1"]


def test_many_lines_can_be_told_apart():
    looks = [tuple(marks(place).values()) for place in range(40)]
    assert len(set(looks)) == 40


def test_foreign_text_is_text(make_run):
    folder = make_run(2, method="<img src=x onerror=alert(1)></script>")
    assert main([str(folder), "--interactive"]) == 0
    page = (folder / "interactive.html").read_text(encoding="utf-8")
    assert "<img" not in page.split("<body>")[1].split("<script")[0]
    assert "onerror=alert(1)></script>" not in page


def test_without_plotly(make_run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "plotly", None)
    folder = make_run(2)
    assert main([str(folder), "--interactive"]) == 2
    assert "pip install 'contsemi[plots]'" in capsys.readouterr().err
    assert not (folder / "interactive.html").exists()

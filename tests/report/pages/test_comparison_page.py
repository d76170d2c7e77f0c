"""Several runs on one page, in one picture, and in the paired table."""

import re
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy import stats

from contsemi.records.finished import load_run
from contsemi.report.__main__ import main
from contsemi.report.comparison import compare
from contsemi.report.figures.comparison import drawing
from contsemi.report.figures.drawing import figure, pictures
from contsemi.report.pages.comparison_page import comparison_page
from contsemi.report.paired_table import differences, paired_rows


@pytest.fixture
def folders(make_run):
    """Two methods of three seeds; the second is worse and dearer."""

    def matrix(seed, worse):
        base = np.random.default_rng(seed).uniform(0.6, 0.8, (3, 3))
        return np.where(np.tri(3, dtype=bool), base - worse * (0.1 + 0.01 * seed), np.nan)

    return [
        make_run(
            name=f"{method}-{seed}",
            method=method,
            seed=seed,
            matrix=matrix(seed, worse),
            seconds=10.0 * (1 + worse) + seed,
            memory={"exemplars": 1000 * (1 + worse)},
        )
        for worse, method in enumerate(("good", "<i>bad</i>"))
        for seed in range(3)
    ]


@pytest.fixture
def groups(folders):
    return compare([load_run(folder) for folder in folders])


def test_differences_are_paired_by_seed(groups):
    ((group, best, pairs),) = differences(groups)
    assert (group.method, best.method) == ("<i>bad</i>", "good")
    found = pairs["average_accuracy"]
    assert found.seeds == (0, 1, 2)
    one, two = (list(g.by_seed("average_accuracy").values()) for g in (group, best))
    expected = stats.ttest_rel(one, two).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(-0.11)
    assert paired_rows(groups)[0][2].startswith("-11.0 [-1")


def test_runs_with_the_same_seed_are_one_pair(folders):
    groups = compare([load_run(folder) for folder in (*folders, folders[0])])
    assert differences(groups)[0][2]["average_accuracy"].seeds == (0, 1, 2)


def test_one_seed_has_no_pair(folders):
    groups = compare([load_run(folder) for folder in (folders[0], folders[3])])
    assert paired_rows(groups) == []
    assert b"No two methods" in comparison_page(groups)


def test_the_page(groups):
    text = comparison_page(groups).decode()
    assert "<i>" not in text
    assert "&lt;i&gt;bad" in text
    assert groups[0].spread("average_accuracy") in text
    assert paired_rows(groups)[0][2] in text
    assert text.count("<svg") == 1  # of two methods no scatter
    assert not re.search(r"https?:|@import|url\((?!#)|<script", text)
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ET.fromstring(svg)


@pytest.mark.thorough
def test_the_picture(folders, make_run):
    third = [load_run(make_run(name=f"third{s}", method="third", seed=s)) for s in range(3)]
    groups = compare([*(load_run(folder) for folder in folders), *third])
    drawn = figure(drawing(groups))
    curves, forgotten = drawn.axes[:2]
    for group, line in zip(groups, curves.lines, strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * group.curves.mean(axis=0))
        assert line.get_label() == group.method
    for group, dots in zip(groups, forgotten.collections, strict=True):
        values = [group.values[name] for name in ("forgetting", "average_accuracy")]
        np.testing.assert_allclose(dots.get_offsets(), 100 * np.array(values).T)
    found = pictures(drawing(groups))
    assert found["comparison.png"].startswith(b"\x89PNG")
    ET.fromstring(found["comparison.svg"])
    assert found == pictures(drawing(groups))


def test_the_command(folders, tmp_path, capsys):
    """Six runs answer in less than five seconds."""
    began = time.process_time()
    assert main([*map(str, folders), "--output", str(tmp_path / "new" / "page")]) == 0
    assert time.process_time() - began < 5
    out = capsys.readouterr().out
    assert "Student's t interval, 95%" in out
    names = {path.name for path in (tmp_path / "new" / "page").iterdir()}
    assert names == {"comparison.html", "comparison.png", "comparison.svg"}

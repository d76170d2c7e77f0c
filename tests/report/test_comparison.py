"""Runs side by side."""

import io

import numpy as np
import pytest
from rich.console import Console

from contsemi.report.comparison import compare, comparison_tables, remarks
from contsemi.report.run import load_run


@pytest.fixture
def runs(make_run):
    return [
        load_run(make_run(4, name=f"{method}-{seed}", method=method, seed=seed))
        for method in ("suave", "contsemi")
        for seed in (2, 0, 1)
    ]


def test_mean_and_sample_standard_deviation(runs):
    groups = compare(runs)
    assert [group.method for group in groups] == ["contsemi", "suave"]
    assert groups[0].seeds == (0, 1, 2)
    final = [
        100 * np.mean(run.class_incremental[-1])
        for run in runs
        if run.results["method"] == "contsemi"
    ]
    expected = f"{np.mean(final):.1f} ± {np.std(final, ddof=1):.1f}"
    assert groups[0].spread("average_accuracy") == expected
    assert remarks(groups) == []


def test_one_table_for_each_scenario_and_budget(runs, make_run):
    runs.append(load_run(make_run(1, scenario="other", label_ratio="4/class")))
    tables = comparison_tables(compare(runs), 80)
    assert len(tables) == 2
    console = Console(file=io.StringIO(), width=80)
    console.print(*tables)
    text = console.file.getvalue()
    assert "digits · labels 5% · class-incremental [%]" in text
    assert "other · labels 4/class · class-incremental [%]" in text
    last = text.splitlines()[-1].split()
    assert last[:2] == ["contsemi", "1"]
    assert last[-1] == "-"
    assert "±" not in text.splitlines()[-1]


def test_remarks(runs):
    few, twice = remarks(compare([runs[0], runs[0]]))
    assert few.startswith("fewer than 3 seeds")
    assert "same seed" in twice
    assert "suave on digits with labels 5%" in twice


def test_runs_of_one_method_with_other_settings_are_other_groups(make_run):
    """Forty exemplars and a hundred are not three seeds more of the same."""
    runs = []
    for exemplars in (40, 100):
        for seed in (0, 1):
            run = load_run(make_run(2, name=f"{exemplars}-{seed}", seed=seed))
            run.config.update(
                memory={"exemplars": exemplars}, seed=seed, output=f"{seed}", threads=seed
            )
            runs.append(run)
    groups = compare(runs)
    assert [(group.method, group.seeds) for group in groups] == [
        ("contsemi memory.exemplars=100", (0, 1)),
        ("contsemi memory.exemplars=40", (0, 1)),
    ]

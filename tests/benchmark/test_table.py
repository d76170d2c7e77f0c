"""The table of a benchmark: means, paired intervals, what is not finished."""

import json
import re

import numpy as np
import pytest

from contsemi.benchmark.__main__ import main
from contsemi.benchmark.table import table
from contsemi.records.finished import FinishedRun


@pytest.mark.usefixtures("_plain_runs")
def test_the_table_gives_the_paired_interval(plan, finish, tmp_path):
    jobs = plan(tmp_path, labels=["4/class"]).jobs(tmp_path)
    values = {"ours": [0.50, 0.60, 0.70], "theirs": [0.40, 0.52, 0.58]}
    for job in jobs:
        finish(job, values[job.method][job.seed])
    text = "\n".join(table(jobs, "ours"))
    ours, theirs = (line for line in text.splitlines() if line.startswith(("| ours", "| theirs")))
    assert "| 60.0 ± 10.0 |" in ours and "| 50.0 ± 9.2 |" in theirs
    # differences 10, 8, 12: mean 10, deviation 2, half width 4.303 * 2 / sqrt(3)
    assert "+10.0 [+5.0, +15.0]" in theirs
    assert "1,234" in ours


@pytest.mark.usefixtures("_plain_runs")
def test_runs_with_fewer_labels_than_others_are_said(plan, finish, tmp_path):
    """A network's choice of a task with too few images buys fewer than the heading says."""
    jobs = plan(tmp_path, labels=["4/class"]).jobs(tmp_path)
    for job in jobs:
        finish(job, 0.5)
        path = job.folder / "results.json"
        own = {"labelled": [20, 20], "labels_asked": None}
        if job.method == "theirs":
            own = {"labelled": [20, 17 - job.seed], "labels_asked": [20, 20]}
        path.write_text(json.dumps(json.loads(path.read_text()) | own))
    said = "\nNot all have as many labels: ours 40, theirs 35 to 37 of 40."
    assert list(table(jobs, "ours"))[-1] == said
    assert not [
        line for line in table([j for j in jobs if j.method == "ours"], "ours") if "Not" in line
    ]


def test_runs_of_two_precisions_are_said(plan, finish, tmp_path, monkeypatch):
    def told(folder):
        results = json.loads((folder / "results.json").read_text())
        precision = "bfloat16" if "theirs" in str(folder) else "float32"
        return FinishedRun(folder, results, np.eye(1), np.eye(1), {}, {"precision": precision})

    monkeypatch.setattr("contsemi.benchmark.table.load_run", told)
    jobs = plan(tmp_path, labels=["4/class"]).jobs(tmp_path)
    for job in jobs:
        finish(job, 0.5)
    said = "\nThe runs are not of the same precision: float32 (ours), bfloat16 (theirs)."
    assert list(table(jobs, "ours"))[-1] == said


@pytest.mark.usefixtures("_plain_runs")
def test_differences_are_paired_by_order_and_seed(plan, finish, tmp_path):
    jobs = plan(tmp_path, labels=["4/class"], orders=[0, 1], seeds=[0, 1]).jobs(tmp_path)
    ours = {(0, 0): 0.5, (0, 1): 0.7, (1, 0): 0.3, (1, 1): 0.9}
    for job in jobs:
        finish(job, ours[job.pair] - (0.1 if job.method == "theirs" else 0))
    (theirs,) = (line for line in table(jobs, "ours") if line.startswith("| theirs"))
    assert "| theirs | 4 |" in theirs and "+10.0 [+10.0, +10.0]" in theirs
    assert any("| method | runs |" in line for line in table(jobs, "ours"))


@pytest.mark.usefixtures("_plain_runs")
def test_an_order_counts_once_however_many_seeds_it_has(plan, finish, tmp_path):
    """Leads of 10, -4 and 6 by order, and a point a seed: the interval is that of three orders."""
    jobs = plan(tmp_path, labels=["4/class"], orders=[0, 1, 2], seeds=[0, 1]).jobs(tmp_path)
    leads = {0: 0.10, 1: -0.04, 2: 0.06}
    for job in jobs:
        finish(job, 0.5 + (leads[job.order] + 0.01 * job.seed if job.method == "ours" else 0))
    lines = list(table(jobs, "ours"))
    (theirs,) = (line for line in lines if line.startswith("| theirs"))
    # 10.5, -3.5, 6.5: mean 4.5, deviation 7.211, half width 4.303 * 7.211 / sqrt(3)
    assert "+4.5 [-13.4, +22.4]" in theirs
    assert "\nIntervals are over orders: a difference is the mean of an order's seeds." in lines


@pytest.mark.usefixtures("_plain_runs")
def test_how_many_pairs_a_difference_rests_on_is_said_where_it_is_fewer(plan, finish, tmp_path):
    jobs = plan(tmp_path, labels=["4/class"]).jobs(tmp_path)
    for job in jobs:
        if job.method == "theirs" or job.seed < 2:
            finish(job, 0.6 if job.method == "ours" else 0.5)
    (theirs,) = (line for line in table(jobs, "ours") if line.startswith("| theirs"))
    assert "| theirs | 3 |" in theirs and "+10.0 [+10.0, +10.0] (2 pairs)" in theirs
    fewer = [job for job in jobs if job.method == "theirs" or job.seed == 1]
    (theirs,) = (line for line in table(fewer, "ours") if line.startswith("| theirs"))
    assert "| +10.0 (1 pair) |" in theirs


def test_of_all_classes_at_once_nothing_is_told_within_tasks(plan, finish, tmp_path, monkeypatch):
    def told(folder):
        results = json.loads((folder / "results.json").read_text())
        matrix = np.eye(1 if "theirs" in str(folder) else 2)
        changes = ["commit a -> b"] if "theirs" in str(folder) else []
        return FinishedRun(folder, results | {"changes": changes}, matrix, matrix)

    monkeypatch.setattr("contsemi.benchmark.table.load_run", told)
    jobs = plan(tmp_path, labels=["4/class"]).jobs(tmp_path)
    for job in jobs:
        finish(job, 0.5)
    lines = list(table(jobs, "ours"))
    rows = {line.split("|")[1].strip(): line.split("|") for line in lines if line.startswith("|")}
    place = [cell.strip() for cell in rows["method"]].index("task-incremental")
    assert rows["ours"][place].strip() == "50.0 ± 0.0" and rows["theirs"][place].strip() == "-"
    said = "\nRuns went on after a stop under other conditions: commit a -> b (theirs)."
    assert said in lines


@pytest.mark.usefixtures("_plain_runs")
def test_what_the_objectives_own_head_says_stands_beside_another_predictor(plan, finish, tmp_path):
    jobs = [job for job in plan(tmp_path).jobs(tmp_path) if job.labels == "4/class"]
    for job in jobs:
        finish(job, 0.5)
    assert "by its own head" not in "\n".join(table(jobs, "ours"))
    for job in jobs:
        path = job.folder / "results.json"
        results = json.loads(path.read_text())
        if job.method == "ours":
            own = {"average_accuracy": 0.3 + 0.02 * job.seed}
            results["predictors"] = {"headline": {"average_accuracy": 0.5}, "objective": own}
        path.write_text(json.dumps(results))
    lines = [line.split("|") for line in table(jobs, "ours") if line.startswith("|")]
    place = [cell.strip() for cell in lines[0]].index("by its own head")
    found = {line[1].strip(): line[place].strip() for line in lines[2:]}
    assert found == {"ours": "32.0 ± 2.0", "theirs": "-"}  # of .30, .32, .34


@pytest.mark.usefixtures("_plain_runs")
def test_a_plan_names_further_columns_and_what_methods_are_compared_in(plan, finish, tmp_path):
    of = plan(
        tmp_path,
        labels=["4/class"],
        columns={
            "classes covered": "labels.covered",
            "least": "labels.least",  # a count, which is no share
            "forgetting": "probe.knn",  # beside the column of that name
            "a|b": "labels.covered.of",  # below a number
        },
        measure="discovery.discovered_all",
    )
    jobs = of.jobs(tmp_path)
    for job in jobs:
        ours = job.method == "ours"
        finish(job, 0.4 if ours else 0.9)  # the other way round than what is measured
        path = job.folder / "results.json"
        results = json.loads(path.read_text())
        results["labels"] = {"covered": 0.75 + 0.05 * job.seed, "least": 3}
        results["class_incremental"]["forgetting"] = 0.25
        results["discovery"] = {"discovered_all": (0.6 if ours else 0.5) + 0.01 * job.seed}
        path.write_text(json.dumps(results))
    lines = [line for line in table(jobs, of.reference, of.columns, of.measure) if "|" in line]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    assert [row[1] for row in rows[2:]] == ["ours", "theirs"]
    assert {row[rows[0].index("classes covered")] for row in rows[2:]} == {"80.0 ± 5.0"}
    assert {row[rows[0].index("least")] for row in rows[2:]} == {"3.0 ± 0.0"}
    assert {row[rows[0].index("forgetting")] for row in rows[2:]} == {"25.0 ± 0.0"}
    assert rows[0].count("forgetting") == 2 and "a\\|b" in lines[0]
    text = "\n".join(table(jobs, of.reference, of.columns, of.measure))
    assert "No run has a number at probe.knn." in text and "at labels.covered.of." in text
    assert "at labels.covered." not in text.replace("at labels.covered.of.", "")
    assert rows[3][rows[0].index("ours ahead by")] == "+10.0 [+10.0, +10.0]"


@pytest.mark.usefixtures("_plain_runs")
def test_of_forgetting_who_has_less_stands_first_and_is_ahead(plan, finish, tmp_path):
    of = plan(tmp_path, labels=["4/class"], measure="class_incremental.forgetting")
    of.methods["none"] = []
    jobs = of.jobs(tmp_path)
    for job in jobs:
        finish(job, 0.5)
        path = job.folder / "results.json"
        results = json.loads(path.read_text())
        forgotten = {"ours": 0.1 + 0.01 * job.seed, "theirs": 0.3 + 0.01 * job.seed}
        results["class_incremental"]["forgetting"] = forgotten.get(job.method)
        path.write_text(json.dumps(results))
    lines = [line for line in table(jobs, of.reference, of.columns, of.measure) if "|" in line]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert [row[1] for row in rows[2:]] == ["ours", "theirs", "none"]
    place = rows[0].index("ours ahead by")
    assert [row[place] for row in rows[2:]] == ["-", "+20.0 [+20.0, +20.0]", "-"]


@pytest.mark.usefixtures("_plain_runs")
def test_an_unfinished_benchmark_shows_what_is_there(plan, finish, tmp_path):
    jobs = plan(tmp_path).jobs(tmp_path)
    finish(jobs[0], 0.5)
    text = "\n".join(table(jobs, "ours"))
    assert "| ours | 1 | 50.0 |" in text and "theirs" not in text.split("### 25/class")[1]


@pytest.mark.usefixtures("_plain_runs")
def test_a_table_is_written_over_and_a_text_of_others_is_not(plan, tmp_path, monkeypatch, capsys):
    """Also where the plan has other budgets by now."""
    monkeypatch.setattr("contsemi.benchmark.command.train", lambda *_: {})
    out, path = tmp_path / "out", tmp_path / "plan.yaml"
    for labels in (["4/class"], ["5%", "25/class"]):
        plan(tmp_path, labels=labels)
        assert main([str(path), "--output", str(out)]) == 0
        assert f"### {labels[0]}" in (out / "table.md").read_text()
    (out / "table.md").write_text("### 5%\n\nof what I owe\n")
    assert main([str(path), "--output", str(out)]) == 2
    assert "of something else" in capsys.readouterr().err
    assert "I owe" in (out / "table.md").read_text()

"""The benchmark: what it plans, what it refuses, and that it goes on where it was."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from contsemi.benchmark.__main__ import main
from contsemi.benchmark.training import train

ROOT = Path(__file__).resolve().parents[2]


def test_every_run_has_a_folder_of_its_own_and_pairs_share_all_but_the_method(plan, tmp_path):
    jobs = plan(tmp_path).jobs(tmp_path, ["threads=1"])
    assert len(jobs) == len({job.folder for job in jobs}) == 12
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
    first, second = jobs[:2]
    assert set(first.settings) ^ set(second.settings) == {"method=suave", "method=replay"}
    assert {"threads=1", "label_ratio=25/class", "seed=0"} <= set(first.settings)


def test_the_folder_of_a_list_of_budgets_is_no_pattern_of_a_shell(plan, tmp_path):
    for labels in ("[5/class,0%,2/class]", "['5/class', '0%', '2/class']"):
        job = plan(tmp_path, labels=[labels]).jobs(tmp_path)[0]
        assert job.folder.parent.parent.name == "5_per_class,0%,2_per_class"
        assert f"label_ratio={labels}" in job.settings


def test_class_orders_are_crossed_with_seeds_and_alike_for_every_method(plan, tmp_path):
    jobs = plan(tmp_path, orders=[0, 7], labels=["4/class"], seeds=[0, 1]).jobs(tmp_path)
    assert len(jobs) == len({job.folder for job in jobs}) == 8
    by_pair = {}
    for job in jobs:
        of_the_order = {word for word in job.settings if word.startswith("scenario.")}
        by_pair.setdefault(job.pair, set()).add(frozenset(of_the_order))
    assert set(by_pair) == {(0, 0), (0, 1), (7, 0), (7, 1)}
    assert by_pair[7, 1] == {frozenset({"scenario.class_order=shuffled", "scenario.order_seed=7"})}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# prose\n", "no mapping"),
        ("a: [", "expected the YAML of a benchmark"),
        ("shared: []", "'shared' is missing"),
        ("shared: [a=1]\nlabels: [5%]\nseeds: [zero]\nmethods: {a: []}", "'seeds' is not"),
        ("shared: [a=1]\nlabels: [5%]\nseeds: [0]\norders: a\nmethods: {a: []}", "'orders' is"),
        ("shared: [a=1]\nlabels: [5%]\nseeds: [0]\nmethods: {../a: []}", "name of a folder"),
        (
            "shared: [a=1]\nlabels: [5%]\nseeds: [0, 1, 0]\nmethods: {a: []}",
            "holds 0 twice",
        ),
        (
            f"shared: [a=1]\nlabels: [5%]\nseeds: {list(range(20000))}\nmethods: {{a: []}}",
            "20000 runs, more than 10000",
        ),
        ("shared: [a=1]\nlabels: [5%, 5%]\nseeds: [0]\nmethods: {a: []}", "holds 5% twice"),
        ("shared: [a=1]\nlabels: ['[5%]', 5%]\nseeds: [0]\nmethods: {a: []}", "holds 5% twice"),
        (
            "shared: [a=1]\nlabels: [5%]\nseeds: [0]\nmethods: {a: [], a: []}",
            "a stands",
        ),
        ("shared: [a=1]\nlabels: [5%]\nseeds: [0]\nmethods: [a]", "'methods' is not"),
        (
            "shared: [a=1]\nlabels: [5%]\nseeds: [0]\nmethods: {a: []}\ncolumns: {all: 3}",
            "'columns' holds 3, not group.name",
        ),
        (
            "shared: [a=1]\nlabels: [5%]\nseeds: [0]\nmethods: {a: []}\ncolumns: {s: seconds}",
            "'columns' holds 'seconds', not group.name",
        ),
        (
            "shared: [a=1]\nlabels: [5%]\nseeds: [0]\nmethods: {a: []}\ncolumns: [x]",
            "'columns' is not",
        ),
        (
            "shared: [a=1]\nlabels: [5%]\nseeds: [0]\nmethods: {a: []}\nmeasure: [x]",
            "'measure' holds ['x'], not group.name",
        ),
        ("shared: &a [x]\nlabels: *a", "aliases"),
        ("sharde: []", "unknown key 'sharde'"),
        (None, "No such file"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, capsys, text, said):
    path = tmp_path / "b.yaml"
    if text is not None:
        path.write_text(text)
    assert main([str(path), "--output", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {path}: ") and said in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [["--jobs", "0"], ["--seeds", "7"], ["lr"], ["--port", "1"], ["--only", "none"]]
)
def test_wrong_words_are_one_line(small, tmp_path, capsys, words):
    path = tmp_path / "b.yaml"
    path.write_text(yaml.safe_dump(small()))
    assert main([str(path), "--output", str(tmp_path / "out"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_says_what_is_left_and_stops_at_ctrl_c(plan, tmp_path, monkeypatch, capsys):
    jobs = plan(tmp_path).jobs(tmp_path)
    codes = iter([0, 3, 0])
    ended = SimpleNamespace(wait=lambda: next(codes))
    monkeypatch.setattr("contsemi.benchmark.training.started", lambda *_: ended)
    lines, log = [], jobs[1].folder.with_suffix(".log")
    log.parent.mkdir(parents=True)
    log.write_text("task 1/2 done\nerror: mine.py: line 3: ValueError; mend it there\n  File\n")
    failed = train(jobs[:3], 1, lines.append)
    assert failed == {jobs[1]: 3}
    assert lines[0] == "0 of 3 runs are finished"
    assert (
        "(1 of 3; 0.0 s left)" in lines[1]
        and "exit code 3: mine.py: line 3: ValueError;" in lines[2]
    )
    assert lines[3].endswith("(3 of 3)")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("contsemi.benchmark.training.started", stop)
    assert main([str(tmp_path / "plan.yaml"), "--output", str(tmp_path), "--jobs", "1"]) == 130


def test_without_images_it_does_not_try_run_after_run(plan, tmp_path, monkeypatch):
    elsewhere = ["method=replay", "data.root=/there"]
    jobs = plan(tmp_path, methods={"ours": ["method=suave"], "theirs": elsewhere}).jobs(tmp_path)
    began = []

    def refused(settings, folder):
        began.append(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        there = "data.root=/there" in settings
        said = "" if there else "error: data.root=/nowhere: is no folder; give another\n"
        folder.with_suffix(".log").write_text(said)
        return SimpleNamespace(wait=lambda: 0 if there else 2)

    monkeypatch.setattr("contsemi.benchmark.training.started", refused)
    lines = []
    failed = train(jobs, 1, lines.append)
    ours = [job for job in jobs if job.method == "ours"]
    assert failed == dict.fromkeys(ours, 2)
    assert sum("ours" in str(folder) for folder in began) == 1
    assert len(began) == 1 + len(jobs) - len(ours)
    assert lines[-1] == f"{len(ours) - 1} more of the same images were not started"


@pytest.mark.parametrize("starting", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_runs_that_it_has_started(
    plan, number, starting, tmp_path, monkeypatch, capsys
):
    """Whichever it is, and if one is just being started: nothing trains on with nobody to wait."""
    jobs = plan(tmp_path).jobs(tmp_path)
    waiting, real = [], subprocess.Popen

    def sleeping(command, **more):
        waiting.append(real(["sleep", "60"], **more))
        threading.Timer(0.0 if starting else 0.2, os.kill, (os.getpid(), number)).start()
        if starting:
            time.sleep(0.3)
        return waiting[-1]

    monkeypatch.setattr("contsemi.benchmark.training.subprocess.Popen", sleeping)
    begun = time.monotonic()
    words = [str(tmp_path / "plan.yaml"), "--output", str(tmp_path), "--jobs", "1"]
    assert main(words) == 128 + number
    (process,) = waiting
    assert process.returncode == -signal.SIGTERM and time.monotonic() - begun < 30
    assert len(jobs) > 1  # and no other was begun


@pytest.mark.slow
def test_it_trains_what_is_missing_and_nothing_twice(small, tmp_path):
    shared = ["scenario=digits_5tasks", "model.width=8", "optim.epochs=1", "threads=1"]
    path = tmp_path / "b.yaml"
    path.write_text(yaml.safe_dump(small(shared=shared, labels=["5%"], seeds=[0])))
    command = [
        sys.executable,
        "-m",
        "contsemi.benchmark",
        str(path),
        "--output",
        str(tmp_path / "out"),
    ]

    def call():
        return subprocess.run(
            [*command, "--jobs", "1", "device=cpu"], capture_output=True, text=True, cwd=ROOT
        )

    first = call()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "0 of 2 runs are finished" in first.stdout
    assert "| theirs | 1 |" in first.stdout
    second = call()
    assert "2 of 2 runs are finished" in second.stdout and "seed 0:" not in second.stdout
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.strip() in second.stdout
    path.write_text(yaml.safe_dump(small(shared=[*shared, "optim.lr=-1"], seeds=[1])))
    third = call()
    assert third.returncode == 2 and "exit code 2: " in third.stdout

"""The benchmark: what it plans, what its table says, and that it goes on where it was."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image

from contsemi import compose, data
from contsemi.benchmark.__main__ import main
from contsemi.benchmark.plan import read
from contsemi.benchmark.table import table
from contsemi.benchmark.training import train

ROOT = Path(__file__).resolve().parents[2]


def small(**changes):
    return {
        "shared": ["scenario=digits_5tasks"],
        "labels": ["25/class", "4/class"],
        "seeds": [0, 1, 2],
        "reference": "ours",
        "methods": {"ours": ["method=suave"], "theirs": ["method=replay"]},
    } | changes


def plan(tmp_path, **changes):
    """The benchmark that a file with these changes says."""
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(small(**changes)))
    return read(path)


def finish(job, accuracy):
    job.folder.mkdir(parents=True)
    values = {"average_accuracy": accuracy, "average_incremental_accuracy": accuracy}
    content = {
        "method": job.method,
        "scenario": "s",
        "seed": job.seed,
        "label_ratio": job.labels,
        "class_incremental": {**values, "forgetting": None},
        "task_incremental": values,
        "memory_bytes": 1234,
        "seconds": 5.0,
    }
    (job.folder / "results.json").write_text(json.dumps(content))


def test_every_run_has_a_folder_of_its_own_and_pairs_share_all_but_the_method(tmp_path):
    jobs = plan(tmp_path).jobs(tmp_path, ["threads=1"])
    assert len(jobs) == len({job.folder for job in jobs}) == 12
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
    first, second = jobs[:2]
    assert set(first.settings) ^ set(second.settings) == {"method=suave", "method=replay"}
    assert {"threads=1", "label_ratio=25/class", "seed=0"} <= set(first.settings)


def test_class_orders_are_crossed_with_seeds_and_alike_for_every_method(tmp_path):
    jobs = plan(tmp_path, orders=[0, 7], labels=["4/class"], seeds=[0, 1]).jobs(tmp_path)
    assert len(jobs) == len({job.folder for job in jobs}) == 8
    by_pair = {}
    for job in jobs:
        of_the_order = {word for word in job.settings if word.startswith("scenario.")}
        by_pair.setdefault(job.pair, set()).add(frozenset(of_the_order))
    assert set(by_pair) == {(0, 0), (0, 1), (7, 0), (7, 1)}
    assert by_pair[7, 1] == {frozenset({"scenario.class_order=shuffled", "scenario.order_seed=7"})}


@pytest.fixture
def _plain_runs(monkeypatch):
    """Runs that have nothing but their results."""

    def results_alone(folder):
        return SimpleNamespace(results=json.loads((folder / "results.json").read_text()))

    monkeypatch.setattr("contsemi.benchmark.table.load_run", results_alone)


@pytest.mark.usefixtures("_plain_runs")
def test_the_table_gives_the_paired_interval(tmp_path):
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
def test_differences_are_paired_by_order_and_seed(tmp_path):
    jobs = plan(tmp_path, labels=["4/class"], orders=[0, 1], seeds=[0, 1]).jobs(tmp_path)
    ours = {(0, 0): 0.5, (0, 1): 0.7, (1, 0): 0.3, (1, 1): 0.9}
    for job in jobs:
        finish(job, ours[job.pair] - (0.1 if job.method == "theirs" else 0))
    (theirs,) = (line for line in table(jobs, "ours") if line.startswith("| theirs"))
    assert "| theirs | 4 |" in theirs and "+10.0 [+10.0, +10.0]" in theirs
    assert any("| method | runs |" in line for line in table(jobs, "ours"))


@pytest.mark.usefixtures("_plain_runs")
def test_what_the_objectives_own_head_says_stands_beside_another_predictor(tmp_path):
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
def test_a_plan_names_further_columns_and_what_methods_are_compared_in(tmp_path):
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
def test_of_forgetting_who_has_less_stands_first_and_is_ahead(tmp_path):
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
def test_an_unfinished_benchmark_shows_what_is_there(tmp_path):
    jobs = plan(tmp_path).jobs(tmp_path)
    finish(jobs[0], 0.5)
    text = "\n".join(table(jobs, "ours"))
    assert "| ours | 1 | 50.0 |" in text and "theirs" not in text.split("### 25/class")[1]


@pytest.mark.usefixtures("_plain_runs")
def test_a_table_is_written_over_and_a_text_of_others_is_not(tmp_path, monkeypatch, capsys):
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


@pytest.mark.usefixtures("_plain_runs")
def test_a_run_that_is_finished_with_other_settings_is_not_shown_as_one_of_these(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("contsemi.benchmark.command.train", lambda *_: {})
    out, path = tmp_path / "out", tmp_path / "plan.yaml"
    shared = ["scenario=digits_5tasks", "optim.epochs=1"]
    for job in plan(tmp_path, shared=shared).jobs(out)[:3]:
        finish(job, 0.5)
        config = compose.load([*job.settings, "threads=1"]).model_dump()
        del config["optim"]["clip"]  # as a version of before would not know it
        (job.folder / "manifest.json").write_text(json.dumps({"config": config}))
    assert main([str(path), "--output", str(out), "device=cpu"]) == 0
    assert "| ours | 1 |" in (out / "table.md").read_text()
    capsys.readouterr()
    plan(tmp_path, shared=[*shared[:1], "optim.epochs=7"])
    assert main([str(path), "--output", str(out)]) == 2
    err = capsys.readouterr().err
    assert err == (
        f"error: {out / '25_per_class' / 'ours' / 'seed0'}: is finished, with another "
        "optim.epochs (1 -> 7); give another --output, or remove it\n"
    )


def photos(folder, shade):
    """Two classes of two images for training and one for the test, of one shade."""
    for split, number in (("train", 2), ("test", 1)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for each in range(number):
                grey = shade + 20 * each + (7 if name == "cat" else 0)
                Image.new("RGB", (8, 8), (grey, grey, grey)).save(
                    folder / split / name / f"{each}.png"
                )
    return folder


@pytest.mark.usefixtures("_plain_runs")
def test_finished_runs_of_other_images_are_told_from_the_same_ones_elsewhere(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("contsemi.benchmark.command.train", lambda *_: {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, others = photos(tmp_path / "first", 10), photos(tmp_path / "others", 90)
    shutil.copytree(first, tmp_path / "moved")
    out, path = tmp_path / "out", tmp_path / "plan.yaml"
    shared = ["scenario=image_folder", "data=folder", "scenario.tasks=1", "data.size=8"]
    settings = {"shared": shared, "labels": ["1/class"], "seeds": [0, 1]}
    jobs = plan(tmp_path, **settings).jobs(out, [f"data.root={first}"])
    for job in jobs:
        finish(job, 0.5)
        config = compose.load(list(job.settings))
        train, test = data.load(config.data, "folder")
        digests = {"train": train.digest, "test": test.digest}
        manifest = {"config": config.model_dump(), "dataset_digests": digests}
        (job.folder / "manifest.json").write_text(json.dumps(manifest))

    def call(root):
        code = main([str(path), "--output", str(out), f"data.root={root}"])
        return code, capsys.readouterr().err

    assert call(first)[0] == call(tmp_path / "moved")[0] == 0
    # Which of a folder's foreign images come is drawn by the seed.
    for number, job in enumerate(jobs):
        manifest = json.loads((job.folder / "manifest.json").read_text())
        manifest["dataset_digests"]["outside"] = str(number)
        (job.folder / "manifest.json").write_text(json.dumps(manifest))
    assert call(first)[0] == call(tmp_path / "moved")[0] == 0
    said = f"error: {jobs[0].folder}: is finished, with other images than data.root={others}; give"
    code, err = call(others)
    assert code == 2 and err.startswith(said)
    # What lies at the same place may be changed between two runs: they differ from each other.
    last = jobs[-1].folder / "manifest.json"
    manifest = json.loads(last.read_text())
    manifest["dataset_digests"]["train"] = "0" * 64
    last.write_text(json.dumps(manifest))
    code, err = call(first)
    assert code == 2 and f"with other images than {jobs[0].folder}; give" in err


def test_images_that_change_while_a_benchmark_runs_leave_no_table(tmp_path, monkeypatch, capsys):
    out, path = tmp_path / "out", tmp_path / "plan.yaml"
    jobs = plan(tmp_path, labels=["5%"], seeds=[0]).jobs(out)

    def trained(*_):
        for digest, job in enumerate(jobs):
            finish(job, 0.5)
            config = compose.load(list(job.settings)).model_dump()
            manifest = {"config": config, "dataset_digests": {"train": str(digest), "test": "0"}}
            (job.folder / "manifest.json").write_text(json.dumps(manifest))
        return {}

    monkeypatch.setattr("contsemi.benchmark.command.train", trained)
    assert main([str(path), "--output", str(out)]) == 2
    assert "with other images than" in capsys.readouterr().err
    assert not (out / "table.md").exists()


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
def test_wrong_words_are_one_line(tmp_path, capsys, words):
    path = tmp_path / "b.yaml"
    path.write_text(yaml.safe_dump(small()))
    assert main([str(path), "--output", str(tmp_path / "out"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_says_what_is_left_and_stops_at_ctrl_c(tmp_path, monkeypatch, capsys):
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


@pytest.mark.parametrize("starting", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_runs_that_it_has_started(
    number, starting, tmp_path, monkeypatch, capsys
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
def test_it_trains_what_is_missing_and_nothing_twice(tmp_path):
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

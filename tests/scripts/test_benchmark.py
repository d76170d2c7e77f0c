"""The benchmark script: what it plans, what its table says, and that it goes on where it was."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "benchmark.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark"] = module
    spec.loader.exec_module(module)
    return module


def small(**changes):
    return {
        "shared": ["scenario=digits_5tasks"],
        "labels": ["25/class", "4/class"],
        "seeds": [0, 1, 2],
        "reference": "ours",
        "methods": {"ours": ["method=suave"], "theirs": ["method=replay"]},
    } | changes


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


def test_every_run_has_a_folder_of_its_own_and_pairs_share_all_but_the_method(benchmark, tmp_path):
    jobs = benchmark.plan(small(), tmp_path, ["threads=1"])
    assert len(jobs) == len({job.folder for job in jobs}) == 12
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
    first, second = jobs[:2]
    assert set(first.settings) ^ set(second.settings) == {"method=suave", "method=replay"}
    assert {"threads=1", "label_ratio=25/class", "seed=0"} <= set(first.settings)


@pytest.fixture
def _plain_runs(benchmark, monkeypatch):
    """Runs that have nothing but their results."""

    def read(folder):
        return SimpleNamespace(results=json.loads((folder / "results.json").read_text()))

    monkeypatch.setattr(benchmark, "load_run", read)


@pytest.mark.usefixtures("_plain_runs")
def test_the_table_gives_the_paired_interval(benchmark, tmp_path):
    jobs = benchmark.plan(small(labels=["4/class"]), tmp_path, [])
    values = {"ours": [0.50, 0.60, 0.70], "theirs": [0.40, 0.52, 0.58]}
    for job in jobs:
        finish(job, values[job.method][job.seed])
    text = "\n".join(benchmark.table(jobs, "ours"))
    ours, theirs = (line for line in text.splitlines() if line.startswith(("| ours", "| theirs")))
    assert "| 60.0 ± 10.0 |" in ours and "| 50.0 ± 9.2 |" in theirs
    # differences 10, 8, 12: mean 10, deviation 2, half width 4.303 * 2 / sqrt(3)
    assert "+10.0 [+5.0, +15.0]" in theirs
    assert "1,234" in ours


@pytest.mark.usefixtures("_plain_runs")
def test_an_unfinished_benchmark_shows_what_is_there(benchmark, tmp_path):
    jobs = benchmark.plan(small(), tmp_path, [])
    finish(jobs[0], 0.5)
    text = "\n".join(benchmark.table(jobs, "ours"))
    assert "| ours | 1 | 50.0 |" in text and "theirs" not in text.split("### 25/class")[1]


@pytest.mark.slow
def test_it_trains_what_is_missing_and_nothing_twice(tmp_path):
    shared = ["scenario=digits_5tasks", "model.width=8", "optim.epochs=1", "threads=1"]
    path = tmp_path / "b.yaml"
    path.write_text(yaml.safe_dump(small(shared=shared, labels=["5%"], seeds=[0])))
    command = [sys.executable, str(SCRIPT), str(path), "--output", str(tmp_path / "out")]

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
    assert third.returncode == 1 and "exit code 2" in third.stdout

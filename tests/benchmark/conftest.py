"""Small benchmarks, and runs of them that are finished without having been trained."""

import json

import numpy as np
import pytest
import yaml

from contsemi.benchmark.plan import read
from contsemi.records.finished import FinishedRun


def described(**changes):
    return {
        "shared": ["scenario=digits_5tasks"],
        "labels": ["25/class", "4/class"],
        "seeds": [0, 1, 2],
        "reference": "ours",
        "methods": {"ours": ["method=suave"], "theirs": ["method=replay"]},
    } | changes


def planned(tmp_path, **changes):
    """The benchmark that a file with these changes says."""
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(described(**changes)))
    return read(path)


def finished(job, accuracy):
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


@pytest.fixture
def small():
    """What a small benchmark's file says, with these changes."""
    return described


@pytest.fixture
def plan():
    """Writes such a file into a folder, and reads it."""
    return planned


@pytest.fixture
def finish():
    """Leaves a run's results, with an accuracy."""
    return finished


@pytest.fixture
def _plain_runs(monkeypatch):
    """Runs that have nothing but their results."""

    def results_alone(folder):
        results = json.loads((folder / "results.json").read_text())
        return FinishedRun(folder, results, np.eye(1), np.eye(1))

    monkeypatch.setattr("contsemi.benchmark.table.load_run", results_alone)

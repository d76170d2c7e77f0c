"""The runs behind a table stand in docs/runs/: each is one that its benchmark's file asks for."""

from pathlib import Path

import pytest

from contsemi import compose
from contsemi.benchmark.plan import read
from contsemi.records.finished import load_run

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted(path for path in (ROOT / "docs" / "runs").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", TABLES, ids=lambda path: path.name)
def test_each_is_one_of_its_benchmark(folder):
    jobs = {job.folder: job for job in read(ROOT / "scripts" / f"{folder.name}.yaml").jobs(folder)}
    found = [path.parent for path in folder.rglob("results.json")]
    assert found
    for place in found:
        job, run = jobs[place], load_run(place)
        assert run.results["seed"] == job.seed
        assert run.results["label_ratio"].replace(" ", "") == job.labels
        assert run.results["method"] == compose.load([*job.settings, "data.root=photos"]).method


def test_nothing_else_is_kept():
    names = {path.name for folder in TABLES for path in folder.rglob("*") if path.is_file()}
    matrices = {"accuracy_matrix.csv", "accuracy_matrix_task_incremental.csv"}
    assert names == {"results.json", *matrices}

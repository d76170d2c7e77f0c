"""Small runs on the real digits, and what is compared of two runs."""

import json

import pytest

from contsemi import pipeline
from contsemi.records.results import without_timings
from contsemi.storage.checkpoint import Checkpoints

EMBEDDINGS = ("memory.embeddings=30", "distiller.neighbours=5")
TWO_TASKS = ("scenario.classes=4", "scenario.tasks=2", *EMBEDDINGS, "optim.epochs=3")
EVERY_STEP = "checkpoint.seconds=1e-6"


@pytest.fixture(scope="session")
def two_tasks():
    """The words of a run of two tasks."""
    return TWO_TASKS


@pytest.fixture(scope="session")
def numbers():
    """Reads all that two runs must have in common."""

    def read(folder):
        return (
            without_timings(json.loads((folder / "results.json").read_text())),
            (folder / "metrics.jsonl").read_bytes(),
            (folder / "accuracy_matrix.csv").read_bytes(),
            (folder / "accuracy_matrix_task_incremental.csv").read_bytes(),
        )

    return read


@pytest.fixture(scope="session")
def saved_in():
    """Reads the newest state and record; nothing here asks whose they are."""

    def read(folder):
        checkpoints = Checkpoints(folder / "checkpoints")
        if checkpoints.manifest.exists():
            checkpoints.run = json.loads(checkpoints.manifest.read_text())["body"]["run"]
        return checkpoints.load()

    return read


@pytest.fixture
def undrawn(monkeypatch):
    """Runs draw no pictures, which take most of the time of a small one."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])


@pytest.fixture
def start(small, undrawn):
    """Runs two tasks with a checkpoint after every step."""

    def run(folder, *words):
        return pipeline.run(small(*TWO_TASKS, EVERY_STEP, *words, f"output={folder}"))

    return run


@pytest.fixture(scope="session")
def finished(small, tmp_path_factory):
    """The folder of a run that nobody disturbed, and what it returned; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, pipeline.run(small(*TWO_TASKS, f"output={folder}"))


# The files

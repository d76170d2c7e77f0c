"""``track=``: what stands in metrics.jsonl stands there, too."""

import json
import sys
import time

import pytest

from contsemi import pipeline
from contsemi.errors import InputError

WORDS = ("scenario.tasks=2", "scenario.classes=4", "optim.epochs=1", "evaluate.embeddings=0")


def written(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {(line["name"], line["step"]): line["value"] for line in lines if line["value"]}


@pytest.mark.thorough
def test_tensorboard_has_every_number(small, tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pipeline.run(small(*WORDS, "track=tensorboard", f"output={tmp_path / 'run'}"))
    found = reading.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    numbers = {
        (name, each.step): each.value
        for name in found.Tags()["scalars"]
        for each in found.Scalars(name)
        if each.value
    }
    assert numbers == pytest.approx(written(tmp_path / "run"), rel=1e-6)


@pytest.mark.thorough
def test_wandb_writes_a_run_without_a_network(small, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    pipeline.run(small(*WORDS, "track=wandb", f"output={tmp_path / 'run'}"))
    (file,) = (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")
    until = time.monotonic() + 30  # wandb's own process writes it
    while b"calibration/" not in file.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    assert b"accuracy/class_incremental/task_1" in file.read_bytes()


def test_a_missing_package_is_one_line(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"track: wandb is not installed; pip install"):
        pipeline.run(small(*WORDS, "track=wandb", f"output={tmp_path / 'run'}"))
    assert not (tmp_path / "run" / "results.json").exists()

"""Whole runs on shards: made by the commands of docs/shards.md, killed, and gone on with."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contsemi import compose, pipeline
from contsemi.data.shards.making import make

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "shards.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]
QUICK = (
    *("model=resnet_slim", "model.width=4", "model.blocks=[1,1]", "projector=[8,8]"),
    *("optim.epochs=3", "batch.unlabelled=8", "batch.labelled=8", "batch.test=16"),
    *("memory.exemplars=8", "threads=1", "device=cpu", "precision=fp32", "display=quiet"),
    *("data.workers=1", "views=digits", "data.size=16"),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for number, name in enumerate(("ant", "bee", "cow", "dog")):
            folder = root / "photos" / split / name
            folder.mkdir(parents=True)
            for image in range(count):
                coarse = draw.integers(0, 120, (4, 4, 3), dtype=np.uint8)
                coarse[..., number % 3] += np.uint8(120)
                picture = Image.fromarray(coarse).resize((18 + image % 3, 20))
                stream = io.BytesIO()
                picture.save(stream, "JPEG")
                (folder / f"{image}.jpg").write_bytes(stream.getvalue())
    make([str(root / "photos"), str(root / "shards"), "--images", "10", "--workers", "1"])
    return root


def words(photos, output):
    return [
        *("scenario=image_folder", "scenario.tasks=2", "label_ratio=4/class", "seed=3"),
        *("data.source=shards", f"data.root={photos / 'shards'}", f"data.cache={photos / 'cache'}"),
        *("checkpoint.seconds=0", f"output={output}"),
        *QUICK,
    ]


def facts(output):
    """What a run has learned and measured, times left out."""
    metrics = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    results = json.loads((output / "results.json").read_text())
    return metrics, results["class_incremental"], (output / "accuracy_matrix.csv").read_text()


def test_the_commands_of_the_page_are_right_ones(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos)
    ran = 0
    for line in LINES:
        command = shlex.split(line, comments=True)
        if command[:2] == ["python", "scripts/make_shards.py"]:
            source, _, *rest = command[2:]
            make([source, str(tmp_path / "made"), *rest])
            assert (tmp_path / "made" / "shards.json").exists()
            ran += 1
        elif command[:3] == ["python", "-m", "contsemi.run"]:
            assert compose.load(command[3:]).data.source["name"] == "shards"
            ran += 1
    assert ran >= 2


@pytest.mark.thorough
def test_a_run_learns_from_shards(photos, tmp_path):
    results = pipeline.run(compose.load(words(photos, tmp_path / "run")))
    assert results["class_incremental"]["average_accuracy"] > 0.25
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["class_names"] == ["ant", "bee", "cow", "dog"]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    pipeline.run(compose.load(words(photos, tmp_path / "whole")))
    killed = [w for w in words(photos, tmp_path / "killed") if not w.startswith("checkpoint.")]
    command = [sys.executable, "-m", "contsemi.run", *killed, "checkpoint.seconds=0.001"]
    saved = tmp_path / "killed" / "checkpoints"
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}) as run:
        while run.poll() is None and not list(saved.glob("*")):
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
    assert list(saved.glob("*")) and not (tmp_path / "killed" / "results.json").exists()
    pipeline.run(compose.load(command[3:]))
    assert facts(tmp_path / "killed") == facts(tmp_path / "whole")

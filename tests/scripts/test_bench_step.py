"""The benchmark of the step: the plain loop has our losses, waits are counted, the parts run."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from contsemi.losses.nearest import soft_nearest_neighbours, support_labels
from contsemi.losses.paws import consistency, mean_entropy_maximisation

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


def test_the_plain_loop_has_our_losses(script):
    plain, draw = script("plain_loop"), torch.Generator().manual_seed(0)
    views, supports = (torch.randn(n, 8, generator=draw) for n in (4 * 5, 2 * 20))
    labels = torch.arange(20).remainder(10).repeat(2)
    theirs = plain.paws(views, supports, labels, 5)
    soft, _ = support_labels(labels, torch.arange(10), smoothing=0.1)
    log_probs = soft_nearest_neighbours(views, supports, soft, temperature=0.1)
    ours = (
        consistency(log_probs, log_probs[:10], batch_size=5, sharpening=0.25),
        mean_entropy_maximisation(log_probs, sharpening=0.25),
    )
    torch.testing.assert_close(theirs, ours)


def test_waits_are_counted(script):
    waits = script("bench_step").Waits("cpu")
    rows = torch.arange(3)
    with waits:
        rows.sum().item()
        rows.nonzero()
        rows[rows > 1]
        rows + rows
    assert waits.found == {"_local_scalar_dense": 1, "nonzero": 1, "index by a mask": 1}
    elsewhere = script("bench_step").Waits("cuda")
    with elsewhere:
        rows.nonzero()
    assert str(elsewhere) == "none"


def test_one_hot_that_does_not_look_is_one_hot(script):
    bench, labels = script("bench_step"), torch.tensor([2, 0, 1])
    wanted = functional.one_hot(labels, 4)
    with bench.one_hot_that_does_not_look():
        assert functional.one_hot(labels, 4).equal(wanted)


@pytest.mark.thorough
def test_a_task_with_too_few_images_is_refused(script):
    recipe = script("step_recipe")
    said = "--each: a task has 40 images, and a step takes 51; give at least 6"
    with pytest.raises(SystemExit, match=said):
        recipe.Step(recipe.random_stream(4), 1, 0.2, ["model.width=8"], trivial=True)


@pytest.mark.slow
def test_every_part_prints_its_table():
    words = [
        "model.width=8",
        "--rounds",
        "1",
        "--share",
        "0.01",
        "--each",
        "30",
        "--tasks",
        "1",
        "2",
    ]
    command = [sys.executable, str(SCRIPTS / "bench_step.py"), *words]
    env = os.environ | {"CONTSEMI_NO_REEXEC": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    titles = ("Step against bare", "plain loop |", "All but the backbone", "the host waits")
    for title in (*titles, "without torch.compile"):
        assert title in done.stdout

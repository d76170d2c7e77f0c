"""Schedules against the official ones, step by step."""

import math
from pathlib import Path

import numpy as np
import pytest

from contsemi.assign.centre import linear
from contsemi.config import Optim
from contsemi.learner.schedules import cosine, learning_rate, part_of_cosine

DATA = np.load(Path(__file__).parents[1] / "reference" / "core" / "schedules.npz")


def optim(**changes: object) -> Optim:
    values: dict[str, object] = {
        "name": "sgd",
        "epochs": 6,
        "lr": float(DATA["paws_ref_lr"]),
        "start_lr": float(DATA["paws_start_lr"]),
        "final_lr": float(DATA["paws_final_lr"]),
        "warmup": int(DATA["paws_warmup_steps"]) / int(DATA["paws_total_steps"]),
        "curve": "half",
        "classifier_lr": None,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0,
        "final_weight_decay": None,
        "adapt_vectors": False,
        "adapt_shortcut_norms": False,
        "clip": 0.0,
        "clip_by": "all",
        "freeze_batch_norm": False,
        "freeze_directions": 0,
        "max_loss": 1e6,
    }
    return Optim.model_validate(values | changes)


def test_learning_rate_equals_official() -> None:
    total = int(DATA["paws_total_steps"])
    found = [learning_rate(optim(), step, total) for step in range(total)]
    np.testing.assert_allclose(found, DATA["paws_lr"], rtol=1e-12)


def test_second_group_is_the_same_curve_scaled() -> None:
    total, base = int(DATA["paws_total_steps"]), float(DATA["paws_second_group_base"])
    peak = float(DATA["paws_ref_lr"])
    found = [learning_rate(optim(), step, total) * base / peak for step in range(total)]
    np.testing.assert_allclose(found, DATA["paws_lr_second_group"], rtol=1e-12)


def test_cosine_after_linear_warmup_equals_official() -> None:
    warmup = int(DATA["cosine_warmup_epochs"] * DATA["cosine_iters_per_epoch"])
    start, end = float(DATA["cosine_base"]), float(DATA["cosine_final"])
    total = len(DATA["cosine"]) - warmup
    found = [linear(step, steps=warmup, start=0.0, end=start) for step in range(warmup)]
    found += [cosine(step, total_steps=total, start=start, end=end) for step in range(total)]
    np.testing.assert_allclose(found, DATA["cosine"], rtol=1e-12)


def test_teacher_temperature_equals_official() -> None:
    found = [
        linear(
            epoch,
            steps=int(DATA["teacher_temp_warmup_epochs"]),
            start=float(DATA["teacher_temp_warmup"]),
            end=float(DATA["teacher_temp_final"]),
        )
        for epoch in range(len(DATA["teacher_temp"]))
    ]
    np.testing.assert_allclose(found, DATA["teacher_temp"], rtol=1e-12)


def test_without_warmup_the_peak_is_first() -> None:
    assert learning_rate(optim(warmup=0.0), 0, 10) == optim().lr


def test_warmup_alone_and_one_step_are_defined() -> None:
    last = learning_rate(optim(warmup=1.0), 9, 10)
    assert optim().start_lr < last < optim().lr
    assert learning_rate(optim(), 0, 1) == optim().lr


@pytest.mark.parametrize("step", [100, 101, 10_000])
def test_the_end_is_kept(step: int) -> None:
    assert learning_rate(optim(lr=1.0, final_lr=0.25), step, 100) == 0.25
    assert linear(step, steps=100, start=1.0, end=3.0) == 3.0
    assert linear(step, steps=0, start=1.0, end=3.0) == 3.0


PARTS = Path(__file__).parents[1] / "reference" / "parts"


@pytest.mark.parametrize("path", sorted(PARTS.glob("fixmatch_schedule*.npz")), ids=lambda p: p.stem)
def test_rate_of_fixmatch(path: Path) -> None:
    data = np.load(path)
    total, warmup = int(data["total"]), int(data["warmup"])
    settings = optim(
        lr=1.0,
        start_lr=0.0,
        final_lr=math.cos(math.pi * 7 / 16),
        curve="quarter",
        warmup=warmup / total,
    )
    found = [learning_rate(settings, step, total) for step in range(total)]
    np.testing.assert_allclose(found, data["factor"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("path", sorted(PARTS.glob("simreg_schedule*.npz")), ids=lambda p: p.stem)
def test_rate_of_simreg(path: Path) -> None:
    data = np.load(path)
    epochs, rate = int(data["epochs"]), float(data["base_lr"])
    settings = optim(lr=rate, start_lr=rate, final_lr=0.0, warmup=0.0)
    found = [learning_rate(settings, epoch, epochs) for epoch in range(epochs)]
    np.testing.assert_allclose(found, data["lr"], rtol=1e-9, atol=1e-12)


def test_part_of_a_cosine_ends() -> None:
    assert part_of_cosine(0, total_steps=10, start=2.0, end=0.5) == 2.0
    for step in (10, 11):
        assert part_of_cosine(step, total_steps=10, start=2.0, end=0.5) == pytest.approx(0.5)
    assert part_of_cosine(5, total_steps=10, start=2.0, end=2.0) == 2.0

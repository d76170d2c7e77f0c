"""Evaluation inside tasks: when, on what, at what price, and that training does not notice."""

import pytest
import torch

from contsemi.evaluation.answers import evaluate
from contsemi.evaluation.trace import Trace, fixed_subset
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit

TWO = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=2")


@pytest.fixture(scope="module")
def digits(small, stream_of):
    config = small(*TWO)
    return config, *stream_of(config)


class Counted:
    """Counts the test images that are looked at; those at hand are looked at without ids."""

    def __init__(self, inference):
        self.images, self.look = [], inference.look
        inference.look = self

    def __call__(self, images, ids=None):
        if ids is not None:
            self.images.append(len(ids))
        return self.look(images, ids)


def trained(digits, hooks=None, **cadence):
    """Weights at the end, and (step, task, row) of each evaluation."""
    config, stream, test = digits
    learner, rows = Learner(config), []
    asked = Counted(learner.inference)
    trace = Trace(
        test.images,
        fixed_subset(stream.test, 40, config.seed),
        record=lambda measured, task: rows.append((learner.step_in_task, task, measured)),
        **{"every_steps": 0, "every_epochs": 0} | cadence,
    )
    for experience in stream.experiences:
        fit(learner, experience, stream.images, trace if cadence else None)
    return learner, rows, asked


@pytest.mark.quick(1)
def test_training_does_not_notice(digits):
    """To the bit: weights, EMA, optimiser and memory."""

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for key in sorted(value) for leaf in leaves(value[key])]
        return [value]

    plain, traced = (
        leaves(trained(digits, **cadence)[0].state()) for cadence in ({}, {"every_steps": 1})
    )
    assert len(plain) == len(traced) > 20
    for one, other in zip(plain, traced, strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_when_and_at_what_price(digits):
    learner, rows, asked = trained(digits, every_steps=4)
    steps = [learner.epochs * n for n in (3, 3)]  # whole batches of 96, twice
    when = {task: [step for step, t, _ in rows if t == task] for task in (0, 1)}
    for task, total in enumerate(steps):
        assert when[task] == sorted({*range(4, total + 1, 4), total})
    assert asked.images == [20] * len(when[0]) + [40] * len(when[1])
    for _, task, measured in rows:
        assert torch.isfinite(torch.from_numpy(measured.class_incremental[: task + 1])).all()


def test_by_epochs(digits):
    _, rows, _ = trained(digits, every_epochs=1)
    assert [(step, task) for step, task, _ in rows] == [(3, 0), (6, 0), (3, 1), (6, 1)]


def test_all_images_give_the_row_of_the_matrix(digits):
    config, stream, test = digits
    learner, rows = Learner(config), []
    trace = Trace(
        test.images,
        fixed_subset(stream.test, 0, 0),
        every_steps=10**6,
        every_epochs=0,
        record=lambda measured, task: rows.append(measured),
    )
    fit(learner, stream.experiences[0], stream.images, trace)
    expected = evaluate(learner.inference, test.images, stream.test, 1)
    assert rows[0].class_incremental[0] == expected.class_incremental[0]


def test_the_subset_is_fixed_and_fair(digits):
    _, stream, _ = digits
    one, same, other = (fixed_subset(stream.test, 40, seed) for seed in (0, 0, 1))
    for task, again, whole in zip(one, same, stream.test, strict=True):
        assert torch.equal(task.indices, again.indices)
        assert len(task.indices) == 20
        truth = dict(zip(whole.indices.tolist(), whole.targets.tolist(), strict=True))
        assert task.targets.tolist() == [truth[row] for row in task.indices.tolist()]
    assert any(not torch.equal(a.indices, b.indices) for a, b in zip(one, other, strict=True))
    assert all(len(task.indices) == 1 for task in fixed_subset(stream.test, 1, 0))
    everything = fixed_subset(stream.test, 10**6, 0)
    assert [len(t.indices) for t in everything] == [len(t.indices) for t in stream.test]

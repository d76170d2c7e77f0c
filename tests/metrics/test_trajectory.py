"""Metrics of evaluations while training: golden numbers, plain loops, and what is undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.metrics.anytime_accuracy import anytime_accuracy
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.min_accuracy import min_accuracy, worst_case_accuracy
from contsemi.metrics.stability_gap import gap_depth, gaps, recovery_steps
from contsemi.metrics.trajectory import as_trajectory
from contsemi.metrics.windowed import (
    largest_drop,
    largest_rise,
    windowed_forgetting,
    windowed_plasticity,
)

NAN = np.nan
# Task 0 ends at .9 and then goes .4 .6 .7 .3 .8; task 1 ends at .8 and goes .5 .6; task 2 ends .7.
STEPS = [10, 20, 30, 40, 50, 60]
TRAINING = [0, 1, 1, 1, 2, 2]
ACCURACY = np.array(
    [
        [0.9, NAN, NAN],
        [0.4, 0.2, NAN],
        [0.6, 0.5, NAN],
        [0.7, 0.8, NAN],
        [0.3, 0.5, 0.4],
        [0.8, 0.6, 0.7],
    ]
)
GOLDEN = as_trajectory(STEPS, TRAINING, ACCURACY)


@st.composite
def trajectories(draw, smallest=1):
    tasks = draw(st.integers(smallest, 5))
    counts = draw(st.lists(st.integers(1, 5), min_size=tasks, max_size=tasks))
    training = np.repeat(np.arange(tasks), counts)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    accuracy = rng.uniform(size=(len(training), tasks)).round(2)
    accuracy[training[:, None] < np.arange(tasks)] = NAN
    return as_trajectory(np.cumsum(rng.integers(0, 9, len(training))), training, accuracy)


def test_golden_numbers():
    assert min_accuracy(GOLDEN) == pytest.approx((0.3 + 0.5) / 2)
    assert worst_case_accuracy(GOLDEN) == pytest.approx(0.7 / 3 + 2 / 3 * 0.4)
    assert worst_case_accuracy(GOLDEN) == pytest.approx(0.5)
    assert anytime_accuracy(GOLDEN) == pytest.approx((0.9 + 0.3 + 0.55 + 0.75 + 0.4 + 0.7) / 6)


def test_windows():
    """The reference code finds no rise in .9 .3 .8, because it skips windows without a drop."""
    assert largest_rise([0.9, 0.3, 0.8], window=2) == pytest.approx(0.5)
    assert largest_rise([0.9, 0.3, 0.8], window=3) == pytest.approx(0.5)
    assert largest_drop([0.9, 0.3, 0.8], window=2) == pytest.approx(0.6)
    assert largest_drop([0.9, 0.6, 0.3], window=2) == pytest.approx(0.3)
    assert largest_drop([0.9, 0.6, 0.3], window=3) == pytest.approx(0.6)
    assert largest_drop([0.1, 0.2], window=9) == 0
    assert isinstance(largest_drop([0.1], window=2), Undefined)
    with pytest.raises(ValueError, match="two evaluations"):
        largest_drop([0.1, 0.2], window=1)
    with pytest.raises(ValueError, match="finite"):
        largest_drop([0.1, NAN], window=2)
    assert windowed_forgetting(GOLDEN, window=2) == pytest.approx((0.5 + 0.3 + 0.0) / 3)
    assert windowed_plasticity(GOLDEN, window=2) == pytest.approx((0.5 + 0.3 + 0.3) / 3)


def test_gaps():
    """Task 0 falls from .9 to .4 and never comes back; task 1 from .8 to .5."""
    found = {(gap.task, gap.switch): gap for gap in gaps(GOLDEN)}
    assert found.keys() == {(0, 1), (0, 2), (1, 2)}
    assert [found[key].depth for key in sorted(found)] == pytest.approx([0.5, 0.4, 0.3])
    assert found[0, 2].recovery == 20  # from step 40, its switch, to step 60
    assert found[0, 1].recovery == Undefined("task 1 did not come back to 95% during task 2")
    assert gap_depth(GOLDEN) == pytest.approx(0.4)
    assert isinstance(recovery_steps(GOLDEN), Undefined)
    back = as_trajectory([5, 6, 8], [0, 1, 1], [[0.8, NAN], [0.1, 0.1], [0.76, 0.9]])
    assert recovery_steps(back) == 3


def test_recovery_is_after_the_lowest():
    """It was still high at first: that is no recovery."""
    it = as_trajectory([5, 6, 8, 9], [0, 1, 1, 1], [[0.8, 0], [0.8, 0], [0.1, 0], [0.8, 0]])
    assert gaps(it)[0].recovery == 4


def test_one_task():
    it = as_trajectory([1, 2], [0, 0], [[0.2], [0.6]])
    for metric in (min_accuracy, gap_depth, recovery_steps):
        assert isinstance(metric(it), Undefined)
    assert worst_case_accuracy(it) == 0.6
    assert anytime_accuracy(it) == pytest.approx(0.4)


def test_what_was_not_measured_is_named():
    holed = ACCURACY.copy()
    holed[4, 1] = NAN
    it = as_trajectory(STEPS, TRAINING, holed)
    reason = Undefined("task 2 was not measured at step 50")
    assert min_accuracy(it) == worst_case_accuracy(it) == anytime_accuracy(it) == reason
    assert {(gap.task, gap.switch) for gap in gaps(it)} == {(0, 1), (0, 2)}
    skipped = as_trajectory([1, 2], [0, 2], [[0.5, NAN, NAN], [0.5, 0.5, 0.5]])
    assert gaps(skipped) == []
    assert isinstance(gap_depth(skipped), Undefined)


@pytest.mark.parametrize(
    ("steps", "training", "accuracy"),
    [
        ([], [], np.zeros((0, 2))),
        ([1], [0, 1], [[0.1], [0.1]]),
        ([2, 1], [0, 0], [[0.1], [0.1]]),
        ([1, 2], [1, 0], [[0.1, 0.1], [0.1, 0.1]]),
        ([1], [1], [[0.1]]),
        ([1], [0], [[98.0]]),
    ],
)
def test_no_trajectory(steps, training, accuracy):
    with pytest.raises(ValueError, match=r"trajectory|order|outside|fractions"):
        as_trajectory(steps, training, accuracy)


@settings(max_examples=40, deadline=None)
@given(trajectories())
def test_by_plain_loops(it):
    series = [[a for a in it.accuracy[:, task] if not np.isnan(a)] for task in range(it.tasks)]
    if it.tasks > 1:
        lowest = [
            min(it.accuracy[n, j] for n in range(len(it)) if it.training[n] > j)
            for j in range(it.tasks - 1)
        ]
        assert min_accuracy(it) == pytest.approx(sum(lowest) / len(lowest))
    for window in (2, 3, 7):
        expected = [
            max(
                (s[a] - s[b] for a in range(len(s)) for b in range(a + 1, min(a + window, len(s)))),
                default=None,
            )
            for s in series
        ]
        if None in expected:
            assert isinstance(windowed_forgetting(it, window=window), Undefined)
        else:
            drops = [max(0, drop) for drop in expected]
            assert windowed_forgetting(it, window=window) == pytest.approx(np.mean(drops))


@settings(max_examples=40, deadline=None)
@given(trajectories(smallest=2))
def test_what_must_hold(it):
    """The worst case bounds the end; a wider window sees no smaller drop; a gap bounds the end."""
    final = it.accuracy[-1].mean()
    assert worst_case_accuracy(it) <= final + 1e-12
    for gap in gaps(it):
        end = it.accuracy[it.end_of(gap.switch), gap.task]
        assert gap.lowest <= end
        assert gap.depth >= gap.before - end
    narrow, wide = (windowed_forgetting(it, window=w) for w in (2, 5))
    if not isinstance(narrow, Undefined):
        assert narrow <= wide


@settings(max_examples=40, deadline=None)
@given(trajectories(smallest=2), st.floats(0, 1))
def test_constant_accuracy_has_no_gap(it, value):
    flat = as_trajectory(it.steps, it.training, np.where(np.isnan(it.accuracy), NAN, value))
    assert gap_depth(flat) == pytest.approx(0)
    assert min_accuracy(flat) == pytest.approx(value)
    assert worst_case_accuracy(flat) == pytest.approx(value)
    assert anytime_accuracy(flat) == pytest.approx(value)

"""Relative forgetting and the mean over images, by hand and as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.average_incremental_accuracy import average_incremental_accuracy
from contsemi.metrics.forgetting import forgetting
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.relative_forgetting import relative_forgetting
from contsemi.metrics.sample_weighted_accuracy import sample_weighted_accuracy
from contsemi.metrics.sample_weighted_incremental_accuracy import (
    sample_weighted_incremental_accuracy,
)

GOLDEN = np.array([[0.5, 0.1, 0.1], [0.8, 0.7, 0.1], [0.6, 0.5, 0.9]])


def test_relative_forgetting_by_hand():
    assert relative_forgetting(GOLDEN) == pytest.approx((0.2 / 0.8 + 0.2 / 0.7) / 2)
    assert relative_forgetting([[0.5, 0.0], [0.0, 1.0]]) == 1
    assert isinstance(relative_forgetting([[0.5]]), Undefined)
    never = relative_forgetting([[0.0, 0.0], [0.5, 1.0]])
    assert never == Undefined("task 1 was never learned, so no share of it can be forgotten")
    assert isinstance(relative_forgetting([[np.nan, 0.0], [0.5, 1.0]]), Undefined)


def test_the_incremental_accuracy_of_images_is_the_mean_of_one_accuracy_on_all_so_far():
    """Against counts of right images: task 1 has 10 and task 2 has 30."""
    right = np.array([[9, 0], [6, 27]])
    images = np.array([10, 30])
    by_hand = (9 / 10 + (6 + 27) / 40) / 2
    found = sample_weighted_incremental_accuracy(right / images, images)
    assert found == pytest.approx(by_hand)
    rows = [sample_weighted_accuracy(GOLDEN[:n, :n], [5] * n) for n in range(1, len(GOLDEN) + 1)]
    even = sample_weighted_incremental_accuracy(GOLDEN, [5] * len(GOLDEN))
    assert (
        even == pytest.approx(average_incremental_accuracy(GOLDEN)) == pytest.approx(np.mean(rows))
    )
    assert isinstance(sample_weighted_incremental_accuracy(GOLDEN, [0, 1, 1]), Undefined)
    with pytest.raises(ValueError, match="one count"):
        sample_weighted_incremental_accuracy(GOLDEN, [1, 1])


def test_sample_weighted_accuracy_by_hand():
    assert sample_weighted_accuracy(GOLDEN, [10, 20, 70]) == pytest.approx(0.06 + 0.1 + 0.63)
    assert isinstance(sample_weighted_accuracy(GOLDEN, [0, 0, 0]), Undefined)
    holed = GOLDEN.copy()
    holed[2, 1] = np.nan
    assert isinstance(sample_weighted_accuracy(holed, [1, 1, 1]), Undefined)
    assert sample_weighted_accuracy(holed, [1, 0, 1]) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="one count"):
        sample_weighted_accuracy(GOLDEN, [1, 1])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_what_must_hold(tasks, seed, images):
    matrix = np.random.default_rng(seed).uniform(0.01, 1, (tasks, tasks))
    assert relative_forgetting(matrix) <= 1
    assert relative_forgetting(matrix / 2) == pytest.approx(relative_forgetting(matrix))
    if forgetting(np.triu(matrix)) > 0:
        assert relative_forgetting(np.triu(matrix)) == pytest.approx(1)
    balanced = sample_weighted_accuracy(matrix, [images] * tasks)
    assert balanced == pytest.approx(average_accuracy(matrix))

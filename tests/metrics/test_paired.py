"""Paired differences against scipy.stats."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.paired import paired_difference

numbers = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=8)


def test_by_hand():
    """Differences .1, .2, .3: mean .2, s = .1, t(2) at 97.5% = 4.3027."""
    ours, theirs = {0: 0.5, 1: 0.6, 2: 0.7, 9: 0.0}, {0: 0.4, 1: 0.4, 2: 0.4, 7: 1.0}
    found = paired_difference(ours, theirs)
    half = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert found.seeds == (0, 1, 2)
    assert found.low < 0 < found.high


@settings(max_examples=40, deadline=None)
@given(numbers, st.randoms(use_true_random=False), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_interval_against_scipy(values, random, confidence):
    other = [random.random() for _ in values]
    found = paired_difference(
        dict(enumerate(values)), dict(enumerate(other)), confidence=confidence
    )
    expected = stats.ttest_rel(values, other).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    back = paired_difference(dict(enumerate(other)), dict(enumerate(values)), confidence=confidence)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


@pytest.mark.parametrize("second", [{}, {1: 0.5}, {2: 0.1, 3: 0.1}])
def test_fewer_than_two_pairs(second):
    found = paired_difference({0: 0.5, 1: 0.5}, second)
    assert isinstance(found, Undefined)
    assert "two seeds in common" in found.reason


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_a_confidence_is_no_percentage(confidence):
    with pytest.raises(ValueError, match="confidence"):
        paired_difference({0: 0.1, 1: 0.2}, {0: 0.1, 1: 0.1}, confidence=confidence)


def test_no_number_is_no_value():
    with pytest.raises(ValueError, match="finite"):
        paired_difference({0: 0.1, 1: math.nan}, {0: 0.1, 1: 0.1})

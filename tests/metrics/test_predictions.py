"""Metrics of single predictions, against scikit-learn and against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from contsemi.metrics.answers import Answered
from contsemi.metrics.calibration import reliability
from contsemi.metrics.confusion import confusion_matrix
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.pseudo_labels import pseudo_label_quality

seeds = st.integers(0, 2**32 - 1)


def drawn(seed, images=80, classes=5):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(images, classes))
    logits[np.arange(images), targets := rng.integers(0, classes, images)] += 2
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logs, targets


def answered(logs, targets):
    """The answers of a learner with these log-probabilities, as far as their likelihood goes."""
    none = np.empty(0, dtype=int)
    return Answered(none, targets, none, none, none, logs[np.arange(len(targets)), targets])


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_confusion_against_scikit_learn(seed):
    logs, targets = drawn(seed)
    counts = confusion_matrix(logs.argmax(1), targets, classes=6)
    expected = theirs.confusion_matrix(targets, logs.argmax(1), labels=range(6))
    np.testing.assert_array_equal(counts, expected)


def test_no_images_give_no_accuracy():
    empty = np.empty(0, dtype=int)
    assert isinstance(reliability(np.empty(0), empty > 0).error, Undefined)
    assert isinstance(answered(np.empty((0, 2)), empty).negative_log_likelihood(), Undefined)


@pytest.mark.parametrize(("predicted", "targets"), [([0, 2], [0, 1]), ([0, -1], [0, 1]), ([0], [])])
def test_columns_that_are_none(predicted, targets):
    with pytest.raises(ValueError, match=r"outside|predictions of"):
        confusion_matrix(np.array(predicted), np.array(targets, dtype=int), classes=2)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 20))
def test_calibration_by_a_plain_loop(seed, bins):
    logs, targets = drawn(seed)
    probs = np.exp(logs)
    sure, right = probs.max(1), probs.argmax(1) == targets
    error = 0.0
    for b in range(bins):
        inside = (sure > b / bins) & (sure <= (b + 1) / bins)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert reliability(sure, right, bins=bins).error == pytest.approx(error, abs=1e-9)
    expected = theirs.log_loss(targets, probs / probs.sum(1, keepdims=True), labels=range(5))
    assert answered(logs, targets).negative_log_likelihood() == pytest.approx(expected)


def test_calibration_by_hand():
    """Always sure and always right; always sure and half right; unsure and as often right."""
    sure = np.tile([1.0, 0.0], (4, 1))
    assert reliability(np.ones(4), np.ones(4) > 0).error == 0
    assert reliability(np.ones(4), np.array([0, 1, 0, 1]) > 0).error == 0.5
    assert reliability(np.full(4, 0.75), np.array([1, 1, 1, 0]) > 0).error == 0
    with np.errstate(divide="ignore"):
        impossible = answered(np.log(sure), np.array([0, 1, 0, 1]))
    assert isinstance(impossible.negative_log_likelihood(), Undefined)


def test_pseudo_labels_by_hand():
    given_labels, hidden = np.array([0, 1, 2, -1, 1]), np.array([0, 1, 1, 0, -1])
    every = pseudo_label_quality(given_labels, hidden)
    assert (every.precision, every.coverage, every.count) == (0.5, 0.8, 4)
    sure = np.array([0.9, 0.2, 0.3, 1.0, 0.1])
    some = pseudo_label_quality(given_labels, hidden, sure, threshold=0.25)
    assert (some.precision, some.coverage, some.count) == (0.5, 0.4, 2)
    none = pseudo_label_quality(given_labels, hidden, sure, threshold=2)
    assert none.precision == Undefined("no image was given a pseudo-label")
    assert none.coverage == 0
    empty = np.empty(0, dtype=int)
    assert isinstance(pseudo_label_quality(empty, empty).coverage, Undefined)
    with pytest.raises(ValueError, match="equal length"):
        pseudo_label_quality(given_labels, hidden[:2])

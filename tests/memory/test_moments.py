"""Moments of classes: against scikit-learn's discriminant, and through a moving space."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from contsemi.memory.moments import AffineMap, Moments, fit_affine


def blobs(classes=4, each=40, size=6, seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(each)
    means = 2 * torch.randn(classes, size, generator=draw, dtype=torch.float64)
    mixing = torch.randn(size, size, generator=draw, dtype=torch.float64)
    noise = torch.randn(len(labels), size, generator=draw, dtype=torch.float64)
    return means[labels] + 0.5 * noise @ mixing, labels


def one_hot(labels, classes):
    return torch.nn.functional.one_hot(labels, classes).double()


def nothing(size):
    empty = Moments.none(size, torch.device("cpu"))
    return Moments(*(x.double() for x in (empty.means, empty.covariance, empty.counts)))


def test_the_scores_are_those_of_linear_discriminant_analysis():
    rows, labels = blobs()
    found = nothing(6).joined(rows, one_hot(labels, 4)).scores(rows, shrinkage=0.0)
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.25] * 4)
    reference.fit(rows.numpy(), labels.numpy())
    np.testing.assert_allclose(
        found.log_softmax(1).numpy(), reference.predict_log_proba(rows.numpy()), atol=1e-8
    )


@pytest.mark.parametrize("cut", [1, 40, 77, 159])
def test_joining_in_two_parts_is_joining_at_once(cut):
    rows, labels = blobs()
    probs = one_hot(labels, 4)
    whole = nothing(6).joined(rows, probs)
    parts = nothing(6).joined(rows[:cut], probs[:cut]).joined(rows[cut:], probs[cut:])
    torch.testing.assert_close(parts.means, whole.means)
    torch.testing.assert_close(parts.counts, whole.counts)
    torch.testing.assert_close(parts.covariance, whole.covariance)


def test_a_class_that_comes_one_image_at_a_time_has_its_covariance():
    rows, labels = blobs(classes=2, each=8)
    probs = torch.cat([one_hot(labels, 2)[:8], torch.full((8, 2), 0.5).double()])  # soft ones, too
    found = nothing(6)
    for row, prob in zip(rows, probs, strict=True):
        found = found.joined(row[None], prob[None])
    torch.testing.assert_close(found.covariance, nothing(6).joined(rows, probs).covariance)


def test_classes_may_come_later():
    rows, labels = blobs()
    first = nothing(6).joined(rows[:80], one_hot(labels[:80], 2))
    both = first.joined(rows[80:], one_hot(labels[80:], 4))
    torch.testing.assert_close(both.means, nothing(6).joined(rows, one_hot(labels, 4)).means)


def test_an_affine_move_is_undone_exactly():
    rows, labels = blobs()
    draw = torch.Generator().manual_seed(1)
    move = AffineMap(
        torch.randn(6, 6, generator=draw, dtype=torch.float64),
        torch.randn(6, generator=draw, dtype=torch.float64),
    )
    moved = rows @ move.matrix + move.offset
    fitted = fit_affine(rows, moved, weights=torch.ones(len(rows)).double(), ridge=0.0)
    torch.testing.assert_close(fitted.matrix, move.matrix)
    torch.testing.assert_close(fitted.offset, move.offset)
    before = nothing(6).joined(rows, one_hot(labels, 4))
    after = before.carried(fitted)
    torch.testing.assert_close(
        after.scores(moved, shrinkage=0.0).log_softmax(1),
        before.scores(rows, shrinkage=0.0).log_softmax(1),
    )


def test_without_images_of_the_new_space_the_map_is_the_identity():
    rows = torch.ones(5, 3)
    fitted = fit_affine(rows, rows + 2, weights=torch.ones(5), ridge=0.1)
    torch.testing.assert_close(fitted.matrix, torch.eye(3))
    torch.testing.assert_close(fitted.offset, torch.full((3,), 2.0))


def test_a_class_that_nothing_is_known_of_is_never_predicted():
    rows, labels = blobs(classes=3)
    probs = torch.nn.functional.pad(one_hot(labels, 3), (0, 1))
    found = nothing(6).joined(rows, probs)
    moved = found.carried(AffineMap(torch.eye(6).double(), torch.ones(6).double()))
    assert (moved.means[3] == 0).all()
    assert (found.scores(rows, shrinkage=0.1)[:, 3] == -torch.inf).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 30), st.integers(1, 8), st.floats(0.01, 1.0))
def test_scores_are_finite_whatever_little_is_known(classes, images, size, shrinkage):
    draw = torch.Generator().manual_seed(images)
    rows = torch.randn(images, size, generator=draw)
    probs = torch.rand(images, classes, generator=draw).softmax(1)
    moments = Moments.none(size, torch.device("cpu")).joined(rows, probs)
    scores = moments.scores(rows, shrinkage=shrinkage)
    assert scores.shape == (images, classes) and scores.isfinite().all()
    assert moments.memory_bytes == 4 * (classes * (size + 1) + size * (size + 1) // 2)


def test_nothing_takes_no_bytes():
    assert Moments.none(7, torch.device("cpu")).memory_bytes == 0

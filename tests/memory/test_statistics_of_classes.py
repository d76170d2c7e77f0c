"""Statistics on frozen features, against scikit-learn and NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import OAS, oas
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

from contsemi.memory.class_covariances import ClassCovariances, normalised_covariance, tukey
from contsemi.memory.class_sums import ClassSums
from contsemi.memory.expectation import balanced, expected_classes
from contsemi.memory.moments import Moments
from contsemi.memory.random_ridge import RandomRidge
from contsemi.memory.shrinking import oracle_shrinkage
from contsemi.memory.voters import Voters


@pytest.fixture
def clouds():
    """Three classes of 60 images in 6 dimensions, and the class of each."""
    draw = torch.Generator().manual_seed(0)
    centres = 2.0 * torch.randn(3, 6, generator=draw)
    labels = torch.arange(3).repeat(60)
    mix = torch.randn(6, 6, generator=draw)
    return centres[labels] + torch.randn(180, 6, generator=draw) @ mix, labels


def one_hot(labels, classes=3):
    return torch.nn.functional.one_hot(labels, classes).float()


def empty(features):
    return Moments.none(features.shape[1], features.device)


@pytest.mark.parametrize("count", [5, 40, 1000])
def test_shrinkage_is_that_of_scikit_learn(count):
    rows = np.random.default_rng(count).normal(size=(count, 8)) * np.linspace(1, 4, 8)
    rows -= rows.mean(0)
    expected = oas(rows, assume_centered=True)[1]
    found = oracle_shrinkage(torch.from_numpy(rows.T @ rows / count), count)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    assert OAS(assume_centered=True).fit(rows).shrinkage_ == pytest.approx(float(found), rel=1e-6)


def test_without_an_image_it_is_all_round():
    assert float(oracle_shrinkage(torch.eye(4), 0)) == 1


@pytest.mark.parametrize("count", [0, 1, 7])
def test_of_rows_that_are_alike_it_is_all_round(count):
    assert float(oracle_shrinkage(torch.zeros(4, 4), count)) == 1


@pytest.mark.parametrize("shrinkage", ["auto", 0.5])
def test_one_image_of_each_class_makes_the_nearest_one_decide(shrinkage):
    images = torch.eye(6)[:3]
    moments = Moments.none(6, images.device).joined(images, torch.eye(3))
    near = images[[2, 0, 1, 1]] + 0.1 * torch.randn(
        4, 6, generator=torch.Generator().manual_seed(0)
    )
    assert moments.scores(near, shrinkage=shrinkage).argmax(1).tolist() == [2, 0, 1, 1]


def test_scores_are_those_of_linear_discriminant_analysis(clouds):
    features, labels = clouds
    moments = empty(features).joined(features, one_hot(labels))
    share = float(moments.shrinkage())
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=None, priors=[1 / 3] * 3)
    theirs.fit(features.numpy(), labels.numpy())
    within = sum(np.cov(features[labels == c].numpy().T, bias=True) for c in range(3)) / 3
    rounded = (1 - share) * within + share * np.trace(within) / 6 * np.eye(6)
    means = theirs.means_
    expected = features.numpy() @ np.linalg.solve(rounded, means.T)
    expected -= 0.5 * np.sum(means * np.linalg.solve(rounded, means.T).T, 1)
    found = moments.scores(features, shrinkage="auto").numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert 0 < share < 0.2
    plain = moments.scores(features, shrinkage=0.0).argmax(1).numpy()
    assert (plain == theirs.predict(features.numpy())).all()


def by_hand(features, labelled, labels, rounds, balance, shrinkage):
    """The same in NumPy, step by step."""
    classes, size = labels.max() + 1, features.shape[1]
    given = np.eye(classes)[labels]
    rows, probs = labelled, given
    for _ in range(rounds):
        counts = probs.sum(0)
        means = probs.T @ rows / counts[:, None]
        covariance = np.zeros((size, size))
        for c in range(classes):
            apart = rows - means[c]
            covariance += apart.T @ (probs[:, c : c + 1] * apart)
        covariance /= probs.sum()
        covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(
            covariance
        ) / size * np.eye(size)
        distances = np.stack(
            [
                [mahalanobis(row, mean, np.linalg.inv(covariance)) ** 2 for mean in means]
                for row in features
            ]
        )
        soft = np.exp(-distances / 2)
        soft /= soft.sum(1, keepdims=True)
        for _ in range(balance):
            soft *= len(features) / classes / soft.sum(0)
            soft /= soft.sum(1, keepdims=True)
        rows, probs = np.concatenate([features, labelled]), np.concatenate([soft, given])
    return soft


@pytest.mark.parametrize("balance", [0, 3])
def test_soft_classes_are_those_by_hand(clouds, balance):
    features, labels = (each.double() if each.is_floating_point() else each for each in clouds)
    found = expected_classes(
        features[12:],
        features[:12],
        labels[:12],
        num_classes=3,
        rounds=3,
        balance=balance,
        shrinkage=0.4,
    )
    whole = features.numpy()
    expected = by_hand(whole[12:], whole[:12], labels[:12].numpy(), 3, balance, 0.4)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_without_a_round_no_image_has_a_class(clouds):
    features, labels = clouds
    found = expected_classes(
        features, features[:9], labels[:9], num_classes=3, rounds=0, balance=0, shrinkage=0.5
    )
    assert not found.any()


def test_without_a_label_no_image_counts(clouds):
    features = clouds[0]
    none = features[:0], torch.zeros(0, dtype=torch.int64)
    found = expected_classes(features, *none, num_classes=3, rounds=5, balance=3, shrinkage="auto")
    assert not found.any()


@given(st.integers(1, 30), st.integers(2, 5), st.integers(1, 4), st.integers(0, 10_000))
def test_balanced_rows_sum_to_one_and_columns_come_closer(rows, classes, passes, seed):
    draw = torch.Generator().manual_seed(seed)
    scores = 5 * torch.randn(rows, classes, generator=draw, dtype=torch.float64)
    prior = torch.rand(classes, generator=draw, dtype=torch.float64) + 0.1
    prior = prior / prior.sum()
    found = balanced(scores, prior, passes=passes)
    torch.testing.assert_close(found.sum(1), torch.ones(rows, dtype=torch.float64))

    def away(probs):
        shares = probs.mean(0)
        return (prior * (prior / shares.clamp_min(1e-300)).log()).sum()

    assert away(found) <= away(scores.softmax(1)) + 1e-9


def test_ridge_is_that_of_scikit_learn_however_the_images_come(clouds):
    features, labels = clouds
    draw = torch.Generator().manual_seed(1)
    kept = RandomRidge.none(torch.randn(6, 20, generator=draw))
    kept = kept.joined(features[:50], one_hot(labels[:50])).joined(
        features[50:], one_hot(labels[50:])
    )
    raised = np.maximum(features.numpy() @ kept.projection.numpy(), 0)
    penalty = 0.3 * np.trace(raised.T @ raised) / 20
    theirs = Ridge(alpha=penalty, fit_intercept=False).fit(raised, one_hot(labels).numpy())
    np.testing.assert_allclose(kept.weights(0.3).T.numpy(), theirs.coef_, atol=1e-4)
    again = RandomRidge(kept.projection, kept.state()["gram"], kept.state()["sums"])
    assert torch.equal(again.weights(0.3), kept.weights(0.3))
    assert kept.memory_bytes == 4 * (20 * 21 // 2 + 20 * 3)


def test_covariances_of_classes_are_numpy_s_however_the_images_come(clouds):
    features, labels = clouds
    kept = ClassCovariances.none(6, features.device)
    kept = kept.joined(features[:60], one_hot(labels[:60]))
    kept = kept.joined(features[60:], one_hot(labels[60:]))
    for c in range(3):
        own = features[labels == c].numpy()
        np.testing.assert_allclose(kept.means[c].numpy(), own.mean(0), atol=1e-4)
        np.testing.assert_allclose(
            kept.covariances[c].numpy(), np.cov(own.T, bias=True), rtol=1e-3, atol=1e-3
        )
    torch.testing.assert_close(kept.counts, torch.full((3,), 60.0))


def test_distances_are_those_of_scipy(clouds):
    features, labels = clouds
    kept = ClassCovariances.none(6, features.device).joined(features, one_hot(labels))
    found = kept.distances(features[:5], kept.whitening(diagonal=1.0, between=0.5))
    unit = features / features.norm(dim=1, keepdim=True)
    for c in range(3):
        cov = np.cov(features[labels == c].numpy().T, bias=True)
        off = (cov.sum() - np.trace(cov)) / 30
        cov = cov + np.trace(cov) / 6 * np.eye(6) + 0.5 * off * (1 - np.eye(6))
        widths = np.sqrt(np.diag(cov))
        inverse = np.linalg.inv(cov / np.outer(widths, widths))
        mean = kept.means[c] / kept.means[c].norm()
        expected = [mahalanobis(row, mean, inverse) ** 2 for row in unit[:5]]
        np.testing.assert_allclose(found[:, c].numpy(), expected, rtol=1e-3)
    diagonal = normalised_covariance(kept.covariances, diagonal=1.0, between=0.5)
    torch.testing.assert_close(diagonal.diagonal(dim1=1, dim2=2), torch.ones(3, 6))


def test_a_class_of_one_image_is_round_and_one_of_none_is_nowhere():
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    kept = ClassCovariances.none(2, rows.device).joined(rows[:1], torch.tensor([[1.0, 0.0]]))
    found = kept.distances(rows, kept.whitening(diagonal=1.0, between=1.0))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [2.0, 0.0]]))


def test_tukey_is_a_root_of_what_is_positive():
    rows = torch.tensor([[4.0, -1.0, 9.0]])
    torch.testing.assert_close(tukey(rows, power=0.5), torch.tensor([[2.0, 0.0, 3.0]]))
    assert tukey(rows, power=1) is rows


def test_class_sums_keep_means_and_know_what_they_do_not_know(clouds):
    features, labels = clouds
    none = features.new_zeros(0, 6)
    first = ClassSums(none, none[:, 0]).joined(features[:60], one_hot(labels[:60]))
    kept = first.joined(features[60:], one_hot(labels[60:], 4))
    for c in range(3):
        torch.testing.assert_close(kept.means[c], features[labels == c].mean(0))
    assert kept.means[3].isnan().all()


def test_voters_are_the_surest_of_each_class():
    rows = torch.eye(4)
    probs = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.0, 0.0], [0.2, 0.8]])
    kept = Voters(torch.zeros(0, 4), torch.zeros(0, 0)).joined(rows, probs, per_class=1)
    assert kept.rows.argmax(1).tolist() == [1, 3]
    more = kept.joined(rows[:1], torch.tensor([[0.0, 0.0, 1.0]]), per_class=1)
    assert more.rows.argmax(1).tolist() == [1, 3, 0]
    assert more.probs.shape == (3, 3)

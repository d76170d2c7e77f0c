"""Probes against scikit-learn, brute force, and the real digits."""

from dataclasses import astuple
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from contsemi.metrics.clustering_probe import clustering_quality, kmeans
from contsemi.metrics.knn_probe import knn_accuracy, knn_predict
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.few_shot import FewShot
from contsemi.metrics.probes.linear import linear_probe_accuracy


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    return bunch.data[:400], bunch.target[:400], bunch.data[400:600], bunch.target[400:600]


@pytest.mark.parametrize("neighbours", [1, 20, 10_000])
def test_knn_against_scikit_learn(digits, neighbours):
    bank, bank_labels, queries, labels = digits
    other = KNeighborsClassifier(
        min(neighbours, len(bank)),
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / 0.07),
    ).fit(bank, bank_labels)
    mine = knn_predict(bank, bank_labels, queries, neighbours=neighbours, temperature=0.07)
    np.testing.assert_array_equal(mine, other.predict(queries))
    accuracy = knn_accuracy(bank, bank_labels, queries, labels, neighbours=neighbours)
    assert accuracy == other.score(queries, labels)


def test_knn_weighs_by_nearness():
    """Two far rows of class 1 against one near row of class 0."""
    bank, labels = np.array([[1.0, 0], [0, 1], [0, 1]]), np.array([0, 1, 1])
    query = np.array([[5.0, 3.0]])
    assert knn_predict(bank, labels, query, neighbours=3, temperature=0.1) == [0]
    assert knn_predict(bank, labels, query, neighbours=3, temperature=10) == [1]
    assert knn_predict(bank, labels, query, neighbours=3, temperature=1e-6) == [0]


def test_knn_without_rows():
    nothing, none = np.empty((0, 2)), np.empty(0, dtype=int)
    one = np.ones((1, 2))
    assert isinstance(knn_accuracy(nothing, none, one, np.array([0]), neighbours=1), Undefined)
    assert isinstance(knn_accuracy(one, np.array([0]), nothing, none, neighbours=1), Undefined)
    with pytest.raises(ValueError, match="k-NN needs"):
        knn_predict(one, np.array([0]), one, neighbours=0, temperature=1)
    with pytest.raises(ValueError, match="finite"):
        knn_predict(one * np.nan, np.array([0]), one, neighbours=1, temperature=1)


def test_linear_probe(digits):
    assert linear_probe_accuracy(*digits) > 0.8
    shuffled = np.random.default_rng(0).permutation(digits[1])
    assert linear_probe_accuracy(digits[0], shuffled, *digits[2:], iterations=50) < 0.3
    assert isinstance(linear_probe_accuracy(digits[0][:1], digits[1][:1], *digits[2:]), Undefined)
    assert isinstance(linear_probe_accuracy(*digits[:2], digits[2][:0], digits[3][:0]), Undefined)


EPISODES = {"ways": 5, "shots": [1, 5], "queries": 5, "episodes": 200, "similarity": "sns"}


def few_shot(features, labels, seed=0, **changed):
    """The probe on two tasks, of which one has been learned: what it says of the other."""
    probe = FewShot(**EPISODES | changed)
    parts = [(features, labels), (features, labels)]
    return probe.ask(parts, parts, seen=1, seed=seed)


def test_few_shot_episodes(digits):
    one = few_shot(*digits[:2])
    assert 0.4 < one["few_shot_unseen_1"] < one["few_shot_unseen_5"] < 1
    assert one["few_shot_seen_5"] == one["few_shot_unseen_5"]
    assert one == few_shot(*digits[:2])
    more = few_shot(*digits[:2], seed=1, episodes=800)
    width, narrower = (found["few_shot_unseen_1_interval"] for found in (one, more))
    assert narrower == pytest.approx(width / 2, rel=0.25)
    apart = abs(more["few_shot_unseen_1"] - one["few_shot_unseen_1"])
    assert apart < 2 * (width + narrower)


def test_episodes_are_the_same_for_every_method(digits):
    """Features turned and stretched alike are told apart alike, image by image."""
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(64, 64)))[0]
    other = few_shot(3 * digits[0] @ turned, digits[1])
    assert other == pytest.approx(few_shot(*digits[:2]))


def test_few_shot_on_noise_is_chance():
    draw = np.random.default_rng(0)
    found = few_shot(draw.normal(size=(500, 32)), np.repeat(np.arange(10), 50))
    width = found["few_shot_seen_1_interval"]
    assert found["few_shot_seen_1"] == pytest.approx(0.2, abs=3 * width)


def test_few_shot_without_enough_images_or_classes(digits):
    found = few_shot(digits[0][:12], digits[1][:12])
    assert found["few_shot_seen_1"] == Undefined(
        "5 classes with 6 images each are needed, there are 0"
    )
    alone = [(digits[0], np.zeros(len(digits[0]), np.int64))]
    assert isinstance(
        FewShot(**EPISODES).ask(alone, alone, seen=1, seed=0)["few_shot_seen_5"], Undefined
    )
    last = FewShot(**EPISODES).ask([digits[:2]], [digits[:2]], seen=1, seed=0)
    assert last["few_shot_unseen_1"] == Undefined("every class has been learned")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_hungarian_against_every_matching(seed, groups, classes):
    draw = np.random.default_rng(seed)
    clusters, labels = draw.integers(0, groups, 30), draw.integers(0, classes, 30)
    size = max(groups, classes)
    best = max(
        np.mean([p[c] == y for c, y in zip(clusters, labels, strict=True)])
        for p in permutations(range(size))
    )
    found = clustering_quality(clusters, labels)
    assert found.accuracy == pytest.approx(best)
    again = clustering_quality(draw.permutation(9)[clusters], labels)
    assert astuple(again) == pytest.approx(astuple(found))


def test_clusters_that_are_the_classes(digits):
    perfect = clustering_quality(9 - digits[1], digits[1])
    assert (perfect.accuracy, perfect.nmi, perfect.ari) == pytest.approx((1, 1, 1))
    real = clustering_quality(kmeans(digits[0], clusters=10, seed=0), digits[1])
    assert 0.5 < real.accuracy < 1
    assert 0 < real.ari < real.nmi < 1
    assert isinstance(clustering_quality(digits[1][:0], digits[1][:0]), Undefined)
    with pytest.raises(ValueError, match="labels"):
        clustering_quality(digits[1][:2], digits[1][:3])

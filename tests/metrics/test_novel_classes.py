"""Novel classes: the official numbers of the assignment, NMI, ARI and purity, and limits."""

import math
from pathlib import Path

import numpy as np
import pytest

from contsemi.metrics.clustering_probe import clustering_quality
from contsemi.metrics.label_coverage import label_coverage, labelled_distance
from contsemi.metrics.novel_classes import matched_classes, novel_accuracy, purity

FOLDER = Path(__file__).parents[1] / "reference" / "parts"
FILES = sorted(FOLDER.glob("promptcal_hungarian_*.npz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_official_numbers(path):
    with np.load(path, allow_pickle=False) as file:
        data = dict(file)
    given = data["y_pred"], data["y_true"]
    old = data["old_mask"].astype(bool)
    found = novel_accuracy(*given, old)
    assert found.all == pytest.approx(data["cluster_acc"])
    if "v2_raises" in data:  # a subset without images
        assert math.isnan(found.old) or math.isnan(found.new)
    else:
        expected = data["v2_all_old_new"]
        np.testing.assert_allclose([found.all, found.old, found.new], expected, rtol=1e-12)
    quality = clustering_quality(*given)
    assert quality.accuracy == pytest.approx(data["cluster_acc"])
    assert quality.nmi == pytest.approx(data["nmi"], abs=1e-12)
    assert quality.ari == pytest.approx(data["ari"], abs=1e-12)
    assert purity(*given) == pytest.approx(data["purity"])


def test_one_matching_serves_old_and_new_classes():
    labels = np.repeat([0, 1], 4)
    clusters = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    old = labels == 0
    found = novel_accuracy(clusters, labels, old)
    assert (found.all, found.old, found.new) == (0.625, 1.0, 0.25)


def test_names_of_clusters_do_not_matter():
    draw = np.random.default_rng(0)
    labels, clusters = draw.integers(0, 6, 200), draw.integers(0, 8, 200)
    renamed = draw.permutation(100)[clusters]
    old = labels < 3
    assert novel_accuracy(clusters, labels, old) == novel_accuracy(renamed, labels, old)
    assert purity(clusters, labels) == purity(renamed, labels)


def test_a_cluster_too_many_has_no_class():
    found = matched_classes(np.array([0, 0, 1, 2]), np.array([4, 4, 9, 9]))
    assert found[:2].tolist() == [4, 4] and sorted(found[2:].tolist()) == [-1, 9]


def test_no_images_and_lengths_that_differ():
    none = np.empty(0, dtype=np.int64)
    assert math.isnan(novel_accuracy(none, none, none > 0).all)
    assert math.isnan(purity(none, none))
    for call in (purity, matched_classes):
        with pytest.raises(ValueError, match="2 images in clusters, 1 labels"):
            call(np.array([0, 1]), np.array([0]))
    with pytest.raises(ValueError, match="1 labels, 2 marks"):
        novel_accuracy(np.array([0]), np.array([0]), np.array([True, False]))


def test_coverage_of_a_choice():
    found = label_coverage(np.array([1, 1, 7]), np.array([1, 2]))
    assert (found.covered, found.least, found.most) == (0.5, 0, 2)
    assert math.isnan(label_coverage(np.array([1]), np.array([])).covered)
    rows = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    assert labelled_distance(rows, rows[:1]) == pytest.approx(2.0)
    assert labelled_distance(rows, rows) == 0
    assert labelled_distance(rows, rows[:0]) == math.inf
    assert math.isnan(labelled_distance(rows[:0], rows))

"""USL's densities and picks, against the official arrays, and what it promises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.assign.distances import nearest_distances
from contsemi.assign.lloyd import lloyd
from contsemi.assign.picks import (
    Repulsion,
    best_of_each,
    density,
    farthest_first,
    regularised_picks,
)

FOLDER = Path(__file__).parents[1] / "reference" / "parts"
FILES = sorted(FOLDER.glob("usl_*.npz"))


def having(*keys):
    """The files that have one of these arrays."""
    found = []
    for path in FILES:
        with np.load(path, allow_pickle=False) as file:
            found += [path] if set(keys) & set(file.files) else []
    assert found
    return pytest.mark.parametrize("path", found, ids=[path.stem for path in found])


@pytest.fixture
def arrays(path, official):
    return official.load(path)


def number(arrays, name, default=None):
    return arrays[name].item() if name in arrays else default


def picks_after(arrays, iterations, masked_far=False):
    horizon = number(arrays, "horizon", -1)
    return regularised_picks(
        arrays["features"],
        1 / arrays["mean_distance"],
        arrays["cluster"],
        number(arrays, "centroids_asked", number(arrays, "budget")),
        Repulsion(
            alpha=number(arrays, "alpha"),
            horizon=None if horizon == -1 else horizon,
            nearest=number(arrays, "nearest_picks"),
            masked_far=masked_far,
        ),
        iterations=iterations,
        weight=number(arrays, "reg_weight"),
        momentum=number(arrays, "reg_momentum"),
        own_cluster=number(arrays, "exclude_same_cluster", 1) == 0,
    )


@having("neighbours", "kmeans_init")
def test_mean_distances_and_clusters(arrays, official):
    rows = arrays["features"]
    if "neighbours" in arrays:
        found = nearest_distances(rows, rows, number(arrays, "neighbours"))[0]
        official.close(found.mean(1), arrays["mean_distance"])
        if "knn_distance" in arrays:
            official.close(found, arrays["knn_distance"])
    if "kmeans_init" in arrays:
        iterations = number(arrays, "kmeans_iterations")
        found = lloyd(rows, rows[arrays["kmeans_init"]], iterations=iterations)
        assert torch.equal(found.assignment, arrays["cluster"])
        official.close(found.centres, arrays["centroids"])


SELECTED = ("selected", "selected_cifar", "selected_imagenet")


@having(*SELECTED)
def test_picks_and_repulsions_of_every_iteration(arrays, official):
    for key in set(SELECTED) & set(arrays):
        _check_picks(arrays, official, key)


def _check_picks(arrays, official, key):
    for iteration, expected in enumerate(arrays[key]):
        found, pushed = picks_after(arrays, iteration + 1, masked_far=True)
        assert torch.equal(found[found >= 0], expected)
        if "regulariser_used" in arrays:
            official.close(pushed, arrays["regulariser_used"][iteration])
        elif key == "selected" and iteration:
            official.close(pushed, arrays["regulariser"][iteration - 1])
        ours = picks_after(arrays, iteration + 1)[0]  # the released quirk moves no pick here
        assert torch.equal(ours[ours >= 0], expected)


@having("selected_without_reg")
def test_without_repulsion_the_densest_of_each_cluster(arrays):
    clusters = arrays["cluster"]
    asked = number(arrays, "centroids_asked", number(arrays, "budget"))
    found = best_of_each(1 / arrays["mean_distance"], clusters, asked)
    assert torch.equal(found[found >= 0], arrays["selected_without_reg"])


@having("raises_assertion", "raises_cifar")
def test_what_the_official_code_refuses_is_served(arrays):
    """Empty clusters and duplicate images: one distinct pick for each cluster that has rows."""
    found = picks_after(arrays, number(arrays, "iterations"))[0]
    found = found[found >= 0]
    assert len(found.unique()) == number(arrays, "budget")
    assert len(arrays["cluster"][found].unique()) == len(found)


def test_duplicates_have_a_finite_density():
    rows = torch.zeros(6, 2)
    assert torch.equal(density(rows, 3), torch.ones(6))
    rows = torch.cat([torch.zeros(4, 2), torch.tensor([[1.0, 0.0], [1.5, 0.0]])])
    found = density(rows, 3)
    assert found.isfinite().all() and (found[:4] == found.max()).all()
    assert density(rows[:0], 3).shape == (0,)


def test_twin_dense_points_of_adjacent_clusters_are_separated():
    """Each cluster has its densest row at the border, and one nearly as dense away from it."""
    rows = torch.tensor([[-0.1], [-2.0], [0.1], [2.0]])
    dense = torch.tensor([1.0, 0.9, 1.0, 0.9])
    clusters = torch.tensor([0, 0, 1, 1])
    settings = {"repulsion": Repulsion(alpha=0.5), "iterations": 2, "momentum": 0.0}
    near = regularised_picks(rows, dense, clusters, 2, weight=0.0, **settings)[0]
    apart = regularised_picks(rows, dense, clusters, 2, weight=0.1, **settings)[0]
    assert near.tolist() == [0, 2]
    assert apart.tolist() == [1, 3]


def test_labelled_rows_push_from_the_first_selection_on():
    rows, dense = torch.tensor([[0.0], [3.0]]), torch.tensor([1.0, 0.9])
    one = torch.zeros(2, dtype=torch.int64)
    settings = {"iterations": 1, "weight": 1.0, "momentum": 0.0, "repulsion": Repulsion(alpha=0.5)}
    assert regularised_picks(rows, dense, one, 1, **settings)[0].tolist() == [0]
    known = torch.tensor([[-0.5]])
    assert regularised_picks(rows, dense, one, 1, known=known, **settings)[0].tolist() == [1]


def test_repulsion_in_pieces_is_that_in_one(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    rows, others = (torch.randn(n, 4, generator=draw) for n in (50, 7))
    barred = torch.rand(50, 7, generator=draw) < 0.3
    repulsion = Repulsion(alpha=1.0, horizon=8.0, nearest=5)
    whole = repulsion.of(rows, others, barred)
    monkeypatch.setattr("contsemi.assign.distances.PIECE_BYTES", 100)
    torch.testing.assert_close(repulsion.of(rows, others, barred), whole)
    torch.testing.assert_close(
        density(rows, 5), 1 / torch.cdist(rows, rows).square().sort(1).values[:, :5].mean(1)
    )


def test_farthest_first_halves_the_radius_like_the_best_centres():
    rows = torch.tensor([[0.0], [0.2], [10.0], [10.2], [20.0], [20.2]])
    assert len({int(rows[pick] // 5) for pick in farthest_first(rows, 3)}) == 3
    found = farthest_first(rows, 1, known=torch.tensor([[0.0], [10.0]]))
    assert found.tolist() == [5]
    assert sorted(farthest_first(torch.zeros(4, 1), 9).tolist()) == [0, 1, 2, 3]
    assert farthest_first(rows, 0).shape == (0,)

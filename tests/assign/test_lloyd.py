"""Lloyd's k-means against the official codes, and its limits."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contsemi.assign.distances import nearest_distances, squared_distances
from contsemi.assign.lloyd import lloyd, member_means, spread_starts, starts_with_classes
from contsemi.assign.semi_kmeans import estimated_classes, semi_kmeans

FOLDER = Path(__file__).parents[1] / "reference" / "parts"


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("promptcal_sskmeans_*.npz")), ids=lambda path: path.stem
)
def test_labelled_rows_stay_as_in_the_official_code(path, official):
    data = official.load(path)
    free = torch.full((len(data["unlabelled"]),), -1)
    found = lloyd(
        torch.cat([data["labelled"], data["unlabelled"]]),
        data["initial_centers"],
        iterations=int(data["max_iterations"]),
        fixed=torch.cat([data["labels"].unique(return_inverse=True)[1], free]),
        tolerance=1e-4,
    )
    assert torch.equal(found.assignment, data["assignment"])
    official.close(found.centres, data["centers"])
    official.close(found.inertia, data["inertia"])


def test_starts_are_the_class_means_of_the_official_code(official):
    for path in FOLDER.glob("promptcal_sskmeans_*.npz"):
        data = official.load(path)
        known = data["labels"].unique(return_inverse=True)[1]
        starts = starts_with_classes(
            data["labelled"], known, data["unlabelled"], int(data["k"]), generator=torch.Generator()
        )
        classes = int(known.max()) + 1
        official.close(starts[:classes], data["initial_centers"][:classes])
        drawn = squared_distances(starts[classes:], data["unlabelled"])
        assert len(starts) == int(data["k"]) and (not drawn.numel() or drawn.amin(1).max() == 0)


def test_a_cluster_without_rows_stays_where_it_was():
    rows, centres = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [50.0]])
    found = lloyd(rows, centres, iterations=3)
    assert torch.equal(found.centres[1], centres[1])
    assert torch.equal(found.assignment, torch.tensor([0, 0]))


@given(st.integers(1, 8), st.integers(1, 30), st.integers(0, 2**20))
def test_inertia_never_rises(clusters, rows, seed):
    draw = torch.Generator().manual_seed(seed)
    points = torch.randn(rows, 3, generator=draw, dtype=torch.float64)
    starts = spread_starts(points, clusters, generator=draw)
    found = [lloyd(points, starts, iterations=n).inertia for n in range(1, 6)]
    assert all(after <= before + 1e-9 for before, after in pairwise(found))


def test_starts_of_kmeans_plus_plus_are_spread():
    rows = torch.tensor([[0.0], [0.1], [0.2], [100.0]])
    drawn = spread_starts(rows, 2, generator=torch.Generator().manual_seed(0))
    assert (drawn == 100).any() and (drawn < 1).any()
    same = torch.zeros(5, 1)
    assert spread_starts(same, 3, generator=torch.Generator()).shape == (3, 1)


def test_distances_of_many_rows_are_those_of_few():
    draw = torch.Generator().manual_seed(1)
    rows, others = (torch.randn(n, 64, generator=draw) for n in (3000, 50))
    expected = torch.cdist(rows.double(), others.double()).square()
    torch.testing.assert_close(
        squared_distances(rows, others).double(), expected, rtol=1e-4, atol=1e-4
    )
    found, index = nearest_distances(rows, others, 60)
    assert found.shape == index.shape == (3000, 50)
    torch.testing.assert_close(found.double(), expected.sort(1).values, rtol=1e-4, atol=1e-4)


def blobs(classes, each, spread=0.2):
    draw = torch.Generator().manual_seed(5)
    centres = 4 * torch.randn(classes, 6, generator=draw)
    labels = torch.arange(classes).repeat(each)
    return centres[labels] + spread * torch.randn(classes * each, 6, generator=draw), labels


def test_novel_clusters_are_found_beside_known_classes():
    rows, labels = blobs(5, 20)
    known = (labels < 3) & (torch.arange(100) < 50)
    found = semi_kmeans(
        rows[known],
        labels[known] + 40,
        rows[~known],
        5,
        starts=5,
        iterations=50,
        generator=torch.Generator().manual_seed(0),
    ).assignment
    own = torch.cat([labels[known], labels[~known]])
    assert torch.equal(found[own < 3], own[own < 3])
    assert len({tuple(found[own == c].unique().tolist()) for c in (3, 4)}) == 2


def test_the_number_of_classes_is_estimated():
    rows, labels = blobs(7, 20)
    known = labels < 4
    found = estimated_classes(
        rows[known],
        labels[known],
        rows[~known],
        most=20,
        trials=6,
        starts=5,
        iterations=30,
        generator=torch.Generator().manual_seed(0),
    )
    assert 4 <= found <= 9


def test_too_few_clusters_are_refused():
    rows, labels = blobs(3, 2)
    draw = torch.Generator()
    with pytest.raises(ValueError, match="cannot hold 3"):
        semi_kmeans(rows, labels, rows, 2, starts=1, iterations=1, generator=draw)
    with pytest.raises(ValueError, match="one is the least"):
        semi_kmeans(rows, labels, rows, 3, starts=0, iterations=1, generator=draw)
    with pytest.raises(ValueError, match="one is the least"):
        lloyd(rows, rows[:0], iterations=1)
    with pytest.raises(ValueError, match="cannot hold 3"):
        estimated_classes(
            rows, labels, rows, most=2, trials=2, starts=1, iterations=1, generator=draw
        )


def test_means_of_members():
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    cluster = torch.arange(60) % 4
    kept = torch.full((5, 5), 7.0)
    found = member_means(rows, cluster, kept)
    for k in range(4):
        torch.testing.assert_close(found[k], rows[cluster == k].mean(dim=0))
    assert torch.equal(found[4], kept[4])

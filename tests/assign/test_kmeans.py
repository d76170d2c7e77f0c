"""k-means: against scikit-learn from the same starts, seeds, empty clusters, few rows."""

import pytest
import torch
from sklearn.cluster import KMeans
from torch.nn import functional

from contsemi.assign.kmeans import kmeans, nearest_centroids


@pytest.fixture
def rows():
    return torch.randn(200, 6, generator=torch.Generator().manual_seed(0))


def test_from_the_same_starts_it_is_scikit_learn(rows):
    start = rows[:7]
    theirs = KMeans(7, init=start.numpy(), n_init=1, max_iter=100, tol=0).fit(rows.numpy())
    ours = kmeans(rows, 7, seed=0, iterations=100, start=start)
    assert torch.equal(ours.cluster, torch.from_numpy(theirs.labels_).long())
    expected = torch.from_numpy(theirs.cluster_centers_)
    torch.testing.assert_close(ours.centroids, expected, atol=1e-4, rtol=1e-4)


def test_the_same_seed_gives_the_same_clusters(rows):
    first, again, other = (kmeans(rows, 9, seed=s, iterations=20) for s in (1, 1, 2))
    assert torch.equal(first.cluster, again.cluster)
    assert torch.equal(first.centroids, again.centroids)
    assert not torch.equal(first.cluster, other.cluster)


def test_starts_are_spread():
    """Of five far heaps each gets a cluster, from whatever seed."""
    heaps = torch.eye(5).repeat_interleave(40, dim=0) * 100
    heaps = heaps + torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    for seed in range(10):
        found = kmeans(heaps, 5, seed=seed, iterations=10).cluster.view(5, 40)
        assert (found == found[:, :1]).all()
        assert len(found[:, 0].unique()) == 5


def test_spherical_centroids_have_unit_length(rows):
    unit = functional.normalize(rows, dim=1)
    found = kmeans(unit, 5, seed=0, iterations=20, spherical=True)
    torch.testing.assert_close(found.centroids.norm(dim=1), torch.ones(5))
    assert torch.equal(found.cluster, (unit @ found.centroids.T).argmax(dim=1))


def test_a_cluster_that_loses_its_rows_gets_others(rows):
    far = torch.cat([rows[:2], torch.full((1, 6), 1e3)])
    found = kmeans(rows, 3, seed=0, iterations=20, start=far)
    assert len(found.cluster.unique()) == 3


def test_known_starts_come_first():
    heaps = torch.tensor([[0.0, 0], [0, 1], [50, 0], [50, 1], [0, 90], [1, 90]])
    start = torch.tensor([[50.0, 0.5], [0.5, 90]])
    found = kmeans(heaps, 3, seed=3, iterations=10, start=start).cluster
    assert found.tolist() == [2, 2, 0, 0, 1, 1]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_fewer_rows_than_clusters_are_one_each(rows, number):
    found = kmeans(rows[:number], 5, seed=0, iterations=5)
    assert found.centroids.shape == (number, 6)
    assert len(found.cluster.unique()) == number


def test_equal_rows_are_one_cluster_and_no_error():
    found = kmeans(torch.ones(10, 3), 4, seed=0, iterations=5)
    assert len(found.cluster.unique()) == 1
    assert found.centroids.isfinite().all()


def test_type_and_errors(rows):
    found = kmeans(rows.double(), 3, seed=0, iterations=5)
    assert found.centroids.dtype == torch.float64
    assert found.cluster.dtype == torch.int64
    for few, clusters, start in ((rows[:0], 2, None), (rows, 0, None), (rows, 2, rows[:3])):
        with pytest.raises(ValueError, match="rows"):
            kmeans(few, clusters, seed=0, iterations=5, start=start)


def test_nearest_is_the_least_distance(rows):
    centroids = rows[:5] * 3
    expected = torch.cdist(rows, centroids).argmin(dim=1)
    assert torch.equal(nearest_centroids(rows, centroids), expected)

"""InterCLR's small clusters."""

import pytest
import torch

from contsemi.assign.kmeans import Clustering
from contsemi.assign.lloyd import member_means
from contsemi.assign.upkeep import without_small


@pytest.fixture
def rows():
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(rows, dim=1)


def clusters(rows, cluster, number):
    return Clustering(cluster, member_means(rows, cluster, torch.zeros(number, 5)))


def test_no_cluster_is_small_after_it(rows):
    cluster = torch.zeros(60, dtype=torch.int64)
    cluster[:20] = 1
    cluster[20:22] = 2  # small; 3 is empty
    before = clusters(rows, cluster, 4)
    after = without_small(rows, before, least=5, seed=0)
    number = torch.bincount(after.cluster, minlength=4)
    assert (number > 0).all()
    assert number.sum() == 60
    # The two of the small one went to the nearest large one before any split.
    nearest = (rows[20:22] @ before.centroids[:2].T).argmax(dim=1)
    unmoved = torch.where(cluster < 2, cluster, 0).index_put((torch.arange(20, 22),), nearest)
    stayed = after.cluster < 2
    assert torch.equal(after.cluster[stayed], unmoved[stayed])
    for k in number.nonzero()[:, 0]:
        if k in (2, 3):
            torch.testing.assert_close(after.centroids[k], rows[after.cluster == k].mean(dim=0))


def test_the_largest_is_split_at_its_gap():
    heap = torch.tensor([[0.0], [0.1], [9.0], [9.1], [9.2], [4.0], [4.1]])
    found = Clustering(torch.tensor([0, 0, 0, 0, 0, 2, 2]), torch.tensor([[5.5], [0.0], [4.0]]))
    after = without_small(heap, found, least=2, seed=0).cluster
    assert len({after[0].item(), after[1].item()}) == len(set(after[2:5].tolist())) == 1
    assert after[0] != after[2]
    assert {after[0].item(), after[2].item()} == {0, 1}
    assert after[5:].tolist() == [2, 2]


def test_clusters_of_classes_are_neither_given_up_nor_split(rows):
    cluster = torch.zeros(60, dtype=torch.int64)
    cluster[:10] = 2
    cluster[10] = 1  # a class with one row; 3 is empty
    after = without_small(rows, clusters(rows, cluster, 4), least=5, whole=2, seed=0)
    assert torch.equal(after.cluster[10:], cluster[10:])
    assert set(after.cluster[:10].tolist()) == {2, 3}


def test_nothing_to_do_and_nothing_that_can_be_done(rows):
    even = clusters(rows, torch.arange(60) % 3, 3)
    assert without_small(rows, even, least=20, seed=0) is even
    assert without_small(rows, even, least=21, seed=0) is even  # all are small
    equal = clusters(torch.ones(4, 5), torch.zeros(4, dtype=torch.int64), 2)
    after = without_small(torch.ones(4, 5), equal, least=1, seed=0)
    assert torch.bincount(after.cluster).tolist() == [2, 2]
    few = clusters(torch.ones(1, 5), torch.zeros(1, dtype=torch.int64), 3)
    assert without_small(torch.ones(1, 5), few, least=1, seed=0).cluster.tolist() == [0]

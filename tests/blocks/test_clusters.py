"""The clusters of a task's images: as many as its classes, labels in their own, state, no image."""

import pytest
import torch
from torch.nn import functional

from contsemi.blocks.clusters import Clusters


@pytest.fixture
def heaps():
    """Forty unit rows around four directions, ten each."""
    draw = torch.Generator().manual_seed(0)
    rows = torch.eye(4).repeat_interleave(10, dim=0) + 0.05 * torch.randn(40, 4, generator=draw)
    return functional.normalize(rows, dim=1)


def all_of(block, images=40):
    places = torch.arange(images)
    return block(places, torch.full((images,), -1))


def test_clusters_grow_with_the_classes_of_the_task(heaps, pool_of, task):
    block = Clusters([1.0, 2.0], iterations=20)
    for columns, numbers in (((0, 1), (2, 4)), ((2, 3, 4, 5), (4, 8))):
        block.begin(task(40, columns, columns[0], columns[-1] + 1))
        block.refresh(pool_of(heaps))
        for level, number in zip(all_of(block), numbers, strict=True):
            found = level.unique()
            assert len(found) == number
            assert found.min() == columns[-1] + 1  # free clusters come after all columns
            assert found.max() < block.most


def test_each_heap_is_a_cluster(heaps, pool_of, task):
    block = Clusters([2.0], iterations=20)
    block.begin(task(40))
    block.refresh(pool_of(heaps))
    found = all_of(block)[0].view(4, 10)
    assert (found == found[:, :1]).all()
    assert block.known.nonzero()[:, 0].tolist() == [4, 5, 6, 7]


def test_labels_start_clusters_and_stay_in_them(heaps, pool_of, task):
    """An image labelled against its looks stays with its class; the others follow the looks."""
    labels = torch.full((40,), -1)
    labels[[0, 1, 10, 39]] = torch.tensor([3, 3, 2, 3])
    block = Clusters([2.0], iterations=20)
    block.begin(task(40))
    block.refresh(pool_of(heaps, labels))
    found = all_of(block)[0]
    assert found[39] == 3
    assert (found[:10] == 3).all()
    assert (found[10:20] == 2).all()
    assert (found[20:39] >= 4).all()
    assert block.known.nonzero()[:, 0].tolist() == [2, 3, 4, 5]
    ranks = block.rank(torch.arange(40), torch.full((40,), -1))[0]
    assert set(ranks[[0, 1, 10, 39]].tolist()) == {0, 1, 2, 3}
    assert ranks.sort().values.tolist() == list(range(40))


def test_more_labelled_classes_than_clusters(heaps, pool_of, task):
    block = Clusters([0.5], iterations=20)
    block.begin(task(40))
    labels = torch.full((40,), -1)
    labels[[0, 10]] = torch.tensor([2, 3])
    block.refresh(pool_of(heaps, labels))
    assert set(all_of(block)[0].tolist()) == {2, 3}


def test_the_surest_are_nearest_to_their_centre(heaps, pool_of, task):
    block = Clusters([2.0], iterations=20, temperature=0.1)
    rows = torch.cat([heaps, functional.normalize(torch.ones(1, 4), dim=1)])
    block.begin(task(41))
    block.refresh(pool_of(rows))
    assert block.rank(torch.tensor([40]), torch.tensor([-1])).item() == 40


def test_images_outside_of_the_pool_and_labels(heaps, pool_of, task):
    block = Clusters([2.0, 4.0], iterations=20)
    block.begin(task(40))
    places, labels = torch.tensor([-1, 5, -1]), torch.tensor([-1, -1, 1])
    assert block(places, labels).tolist() == [[-1, -1, 1]] * 2  # before the first refresh
    block.refresh(pool_of(heaps))
    found = block(places, labels)
    assert found[:, 0].tolist() == [-1, -1]
    assert (found[:, 1] >= 4).all()
    assert found[:, 2].tolist() == [1, 1]
    empty = Clusters([2.0], iterations=20)
    empty.begin(task(0))
    assert empty(places, labels).tolist() == [[-1, -1, 1]]


def test_its_state_is_that_of_the_task(heaps, pool_of, task):
    first, second = Clusters([2.0], iterations=20), Clusters([2.0], iterations=20)
    first.begin(task(40))
    first.refresh(pool_of(heaps))
    second.load_state_dict(first.state_dict())
    assert torch.equal(all_of(first), all_of(second))
    assert (first.most, first.num_seen) == (second.most, second.num_seen)


def test_another_seed_may_find_others_and_the_same_one_the_same(pool_of, task):
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    found = []
    for seed in (0, 0, 1):
        block = Clusters([4.0], iterations=20)
        block.begin(task(60))
        block.refresh(pool_of(rows, seed=seed))
        found.append(all_of(block, 60))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])

"""InterCLR's positives and its four ways to find negatives."""

import pytest
import torch

from contsemi.assign.cluster_mates import SAMPLINGS, cluster_mates, cluster_negatives


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_mate_is_of_the_cluster_and_each_as_often():
    of_rows = torch.tensor([2, 0, -1, 2, 0, 2, -1, 5])
    clusters = torch.tensor([2, 0, 5, 1, -1]).repeat_interleave(3000)
    index, found = cluster_mates(clusters, of_rows, draw=draw())
    assert torch.equal(found, (clusters == 2) | (clusters == 0) | (clusters == 5))
    assert (of_rows[index[found]] == clusters[found]).all()
    times = torch.bincount(index[clusters == 2], minlength=8)
    assert (times[of_rows == 2] - 1000).abs().max() < 120
    assert not index[~found].any()


def test_there_may_be_no_row_at_all():
    index, found = cluster_mates(torch.tensor([0]), torch.full((4,), -1), draw=draw())
    assert index.tolist() == [0]
    assert not found.any()


@pytest.fixture
def scores():
    return torch.rand(6, 40, generator=draw(1))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_negatives_are_allowed_rows_of_the_right_pool(scores, sampling):
    allow = torch.rand(6, 40, generator=draw(2)) < 0.7
    index, found = cluster_negatives(
        scores, allow, number=15, sampling=sampling, pool=10, draw=draw()
    )
    assert index.shape == found.shape == (6, 15)
    assert found.all()
    assert allow.gather(1, index).all()
    ranked = scores.masked_fill(~allow, -1)
    if sampling == "hard":
        assert torch.equal(index, ranked.topk(15).indices)
    elif sampling == "semihard":
        assert (ranked.gather(1, index) >= ranked.topk(10).values[:, -1:]).all()
    elif sampling == "semieasy":
        least = scores.masked_fill(~allow, 2).topk(10, largest=False).values[:, -1:]
        assert (scores.gather(1, index) <= least).all()
    else:
        many, _ = cluster_negatives(
            scores, allow, number=4000, sampling=sampling, pool=10, draw=draw()
        )
        for row, ok in zip(many, allow, strict=True):
            times = torch.bincount(row, minlength=40)
            assert (times[ok] > 0).all()
            assert not times[~ok].any()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_where_no_row_is_allowed_none_is_found(scores, sampling):
    allow = torch.ones(6, 40, dtype=torch.bool)
    allow[0] = False
    allow[1] = torch.arange(40) == 7
    index, found = cluster_negatives(
        scores, allow, number=5, sampling=sampling, pool=10, draw=draw()
    )
    assert not found[0].any()
    assert (index[1][found[1]] == 7).all()
    assert found[1].any()
    assert found[2:].all()


def test_the_same_seed_draws_the_same(scores):
    allow = torch.ones(6, 40, dtype=torch.bool)
    for sampling in ("semihard", "semieasy", "random"):
        first, again, other = (
            cluster_negatives(scores, allow, number=9, sampling=sampling, pool=20, draw=draw(s))[0]
            for s in (0, 0, 1)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

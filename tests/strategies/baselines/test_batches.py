import pytest
import torch

from contsemi.data.sampler import LabelledPool
from contsemi.strategies.baselines.batches import Batches, Source, endless


class Items:
    """A dataset of (row, column, task label)."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if i >= self.count:
            raise IndexError(i)
        return [torch.tensor(100 + i), i % 3, 0]


@pytest.mark.parametrize(("count", "size"), [(5, 8), (8, 8), (20, 8), (1, 4)])
def test_batches_are_those_of_the_learners_own_sampler(count, size):
    pool = LabelledPool(torch.arange(count) % 3, seed=7, task=2)
    batches = Batches([Source(Items(count), size, seed=7, task=2)], steps=6)
    assert len(batches) == 6
    for epoch in range(3):
        drawn = list(batches)
        assert len(drawn) == 6
        for step, (rows, columns, tasks) in enumerate(drawn):
            expected = pool.uniform(size, epoch, step)
            assert torch.equal(rows, 100 + expected)
            assert torch.equal(columns, expected % 3)
            assert tasks.tolist() == [0] * size


def test_the_memory_comes_after_the_task():
    sources = [Source(Items(9), 4, seed=0, task=0), Source(Items(3), 2, seed=1, task=0)]
    for rows, columns, _ in Batches(sources, steps=3):
        assert rows.shape == columns.shape == (6,)
        assert rows[4:].max() < 103


def test_endless_goes_on_beyond_a_pass_and_is_even():
    stream = endless(Source(Items(6), 2, seed=0, task=0))
    passes = [torch.cat([next(stream)[0] for _ in range(3)]).sort().values for _ in range(4)]
    assert all(each.tolist() == list(range(100, 106)) for each in passes)

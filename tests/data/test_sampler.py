import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contsemi.data import sampler
from contsemi.data.sampler import LabelledPool, steps_per_epoch, unlabelled_places
from contsemi.devices.ranks import share_of_rank

SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 3), SEEDS)
def test_each_unlabelled_row_comes_at_most_once_an_epoch(
    size: int, batch: int, epoch: int, seed: int
) -> None:
    rows = torch.arange(size) * 7 + 3
    steps = steps_per_epoch(size, batch)
    batches = [
        rows[unlabelled_places(len(rows), batch, epoch, step, seed=seed, task=1)]
        for step in range(steps)
    ]
    together = torch.cat(batches)
    assert all(len(b) == min(batch, size) for b in batches)
    assert len(together.unique()) == len(together)
    assert torch.isin(together, rows).all()
    assert size - len(together) < batch or size < batch  # only a last, smaller batch is left out
    again = rows[unlabelled_places(len(rows), batch, epoch, steps - 1, seed=seed, task=1)]
    assert torch.equal(again, batches[-1])
    with pytest.raises(IndexError, match=f"step {steps} of an epoch of {steps} steps"):
        rows[unlabelled_places(len(rows), batch, epoch, steps, seed=seed, task=1)]


def test_epochs_tasks_and_seeds_differ() -> None:
    rows = torch.arange(1000)
    first = rows[unlabelled_places(len(rows), 1000, 0, 0, seed=0, task=0)]
    for epoch, seed, task in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert not torch.equal(
            first, rows[unlabelled_places(len(rows), 1000, epoch, 0, seed=seed, task=task)]
        )


def test_an_empty_pool_has_no_step() -> None:
    assert steps_per_epoch(0, 8) == 0
    assert steps_per_epoch(7, 8) == 1
    assert steps_per_epoch(17, 8) == 2


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 100), SEEDS)
def test_uniform_batches_repeat_as_late_as_possible(size: int, batch: int, seed: int) -> None:
    pool = LabelledPool(torch.zeros(size, dtype=torch.int64), seed=seed, task=0)
    cycle = max(size // batch, 1)
    drawn = torch.cat([pool.uniform(batch, 2, step) for step in range(cycle)])
    counts = torch.bincount(drawn, minlength=size)
    assert len(drawn) == batch * cycle
    assert len(counts) == size
    assert counts.max() - counts.min() <= 1
    assert torch.equal(pool.uniform(batch, 2, 5), pool.uniform(batch, 2, 5))


def test_uniform_batches_reach_every_row() -> None:
    pool = LabelledPool(torch.zeros(10, dtype=torch.int64), seed=0, task=0)
    seen = torch.cat([pool.uniform(6, 0, step) for step in range(12)])
    assert len(seen.unique()) == 10


def test_what_is_drawn_can_be_changed_without_harm() -> None:
    pool = LabelledPool(torch.zeros(10, dtype=torch.int64), seed=0, task=0)
    first = pool.uniform(4, 0, 0)
    kept = first.clone()
    first.zero_()
    assert torch.equal(pool.uniform(4, 0, 0), kept)


@pytest.fixture(params=["sorted", "drawn"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small pools are sorted for each step, large ones are not."""
    monkeypatch.setattr(sampler, "_SORTED_UP_TO", 65_536 if request.param == "sorted" else 0)
    return str(request.param)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=80),
    st.integers(1, 6),
    st.permutations(range(12)),
    SEEDS,
)
def test_stratified_batches(
    way: str, labels: list[int], per_class: int, order: list[int], seed: int
) -> None:
    pool = LabelledPool(torch.tensor(labels), seed=seed, task=2)
    chosen = order[:8]
    positions = pool.stratified(per_class, torch.tensor(chosen), 1, 4)
    present = [column for column in chosen if column in labels]
    assert pool.labels[positions].tolist() == present * per_class  # a, b, c, a, b, c
    assert pool.columns_drawn(per_class, torch.tensor(chosen)).tolist() == present * per_class
    counts = torch.bincount(positions, minlength=len(labels))
    for column in present:
        own = counts[torch.tensor(labels) == column]
        assert own.sum() == per_class
        assert own.max() - own.min() <= 1
    assert torch.equal(positions, pool.stratified(per_class, torch.tensor(chosen), 1, 4))


def test_stratified_batches_reach_every_row_evenly(way: str) -> None:
    pool = LabelledPool(torch.tensor([0, 1, 0, 1, 0, 0]), seed=0, task=0)
    drawn = [pool.stratified(2, torch.tensor([1, 0]), 0, step) for step in range(400)]
    counts = torch.bincount(torch.cat(drawn), minlength=6)
    assert counts[[1, 3]].tolist() == [400, 400]
    assert (counts[[0, 2, 4, 5]] - 200).abs().max() < 60  # 5 standard deviations


def test_a_class_of_three_repeats_each_of_its_rows_as_often(way: str) -> None:
    """Four places for three rows: the one that comes twice is another one each time."""
    pool = LabelledPool(torch.zeros(3, dtype=torch.int64), seed=0, task=0)
    twice = [
        int(torch.bincount(pool.stratified(4, torch.tensor([0]), 0, step)).argmax())
        for step in range(300)
    ]
    assert (torch.bincount(torch.tensor(twice), minlength=3) - 100).abs().max() < 42


def test_a_draw_from_a_large_pool_costs_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No number is drawn, and nothing sorted, for each row of the pool."""
    pool = LabelledPool(torch.arange(200_000) % 100, seed=0, task=0)
    sizes, real = [], torch.rand
    monkeypatch.setattr(torch, "rand", lambda *a, **k: sizes.append(a) or real(*a, **k))
    drawn = pool.stratified(3, torch.arange(100), 0, 0)
    assert sizes == [(3, 100), (3, 100)]
    assert len(drawn.unique()) == 300


def test_an_empty_pool_gives_empty_batches() -> None:
    pool = LabelledPool(torch.zeros(0, dtype=torch.int64), seed=0, task=0)
    assert len(pool) == 0
    assert pool.uniform(8, 0, 0).shape == (0,)
    assert pool.stratified(2, torch.arange(3), 0, 0).shape == (0,)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 9))
def test_processes_share_out_every_row_with_its_partner(count: int, size: int) -> None:
    shares = [share_of_rank(count, rank, size) for rank in range(size)]
    assert sorted(torch.cat(shares).tolist()) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 2
    for share in shares:
        assert share.tolist() == sorted(share.tolist())
        assert torch.equal(share.flip(0), count - 1 - share)

"""Selection policies against their definitions, and the exemplars' invariants under each."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.memory.exemplars import Exemplars
from contsemi.memory.selection.selection import Offered, Selection

POLICIES = ["first", "reservoir", "herding", "kmeans", "margin"]


def features(ids):
    """Something fixed for each id."""
    rows = [torch.randn(3, generator=torch.Generator().manual_seed(int(i))) for i in ids]
    return torch.stack(rows) if rows else torch.empty(0, 3)


def priorities(policy, *, labels, ids, rows=None, probs=None, seed=0):
    offered = Offered(labels=labels, ids=ids, seed=seed, features=lambda: rows, probs=lambda: probs)
    return Selection.named({"name": policy}).priorities(offered) if len(ids) else None


def order_of(policy, labels, ids, seed=0):
    rows = features(ids)
    probs = torch.cat([rows, rows[:, :2]], 1).softmax(1)
    return priorities(policy, labels=labels, ids=ids, rows=rows, probs=probs, seed=seed)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=25, deadline=None)
@given(
    stream=st.lists(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=15),
        min_size=1,
        max_size=4,
    ),
    budget=st.integers(0, 14),
    limit=st.one_of(st.none(), st.integers(-5, 300)),
)
def test_invariants(policy, stream, budget, limit):
    memory, again = Exemplars(budget), Exemplars(budget)
    held = {}  # id -> class, of what was ever offered and never dropped
    for task in stream:
        labels = torch.tensor([y for y, _ in task], dtype=torch.int64)
        ids = torch.tensor([i for _, i in task], dtype=torch.int64)
        images = (ids % 251).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
        for each in (memory, again):
            each.add(images, labels, ids, order=order_of(policy, labels, ids), limit=limit)
        for y, i in task:
            held.setdefault(i, y)
        kept = dict(zip(memory.ids.tolist(), memory.labels.tolist(), strict=True))
        assert len(kept) == len(memory) <= budget
        assert limit is None or memory.memory_bytes <= max(limit, 0)
        room = budget if limit is None else min(budget, max(limit, 0) // 20)
        assert len(memory) == min(room, len(held))
        assert all(held[i] == y for i, y in kept.items())
        assert torch.equal(memory.images[:, 0, 0, 0], (memory.ids % 251).to(torch.uint8))
        assert all(torch.equal(memory.state()[k], again.state()[k]) for k in memory.state())
        counts = np.bincount(list(kept.values()), minlength=5)
        offered = np.bincount(list(held.values()), minlength=5)
        gave_up = counts[counts < offered]
        assert not len(gave_up) or counts.max() - gave_up.min() <= 1
        held = kept


@pytest.mark.parametrize("policy", POLICIES)
def test_a_smaller_budget_keeps_a_part_of_a_larger_one(policy):
    ids, labels = torch.arange(40), torch.arange(40) % 3
    images = torch.zeros(40, 3, 1, 1, dtype=torch.uint8)
    kept = []
    for budget in (6, 12, 30):
        memory = Exemplars(budget)
        memory.add(images, labels, ids, order=order_of(policy, labels, ids))
        kept.append(set(memory.ids.tolist()))
    assert kept[0] < kept[1] < kept[2]


@pytest.mark.parametrize("policy", POLICIES)
def test_spare_images_only_fill_what_others_leave(policy):
    ids, labels = torch.arange(20), torch.zeros(20, dtype=torch.int64)
    memory = Exemplars(6)
    spare = ids >= 4
    memory.add(
        torch.zeros(20, 3, 1, 1, dtype=torch.uint8),
        labels,
        ids,
        order=order_of(policy, labels, ids),
        spare=spare,
    )
    assert {0, 1, 2, 3} < set(memory.ids.tolist())
    assert memory.spare.sum() == 2


def test_herding_takes_whatever_keeps_the_mean_nearest():
    ids, labels = torch.arange(12), torch.zeros(12, dtype=torch.int64)
    rows = features(ids).numpy()
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    taken = []
    for _ in range(12):
        left = [i for i in range(12) if i not in taken]
        gaps = [np.linalg.norm(rows[[*taken, i]].mean(0) - rows.mean(0)) for i in left]
        taken.append(left[int(np.argmin(gaps))])
    assert order_of("herding", labels, ids).argsort().tolist() == taken


def test_kmeans_takes_one_of_each_blob_first():
    draw = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(4, 16, generator=draw), dim=1)
    blob = torch.arange(40) % 4
    rows = centres[blob] + 0.02 * torch.randn(40, 16, generator=draw)
    labels = torch.zeros(40, dtype=torch.int64)
    order = priorities("kmeans", labels=labels, ids=torch.arange(40), rows=rows).argsort()
    assert sorted(blob[order[:4]].tolist()) == [0, 1, 2, 3]
    assert sorted(order.tolist()) == list(range(40))
    same = priorities("kmeans", labels=labels, ids=labels, rows=torch.ones(40, 3))
    assert sorted(same.tolist()) == list(range(40))


@pytest.mark.thorough
def test_reservoir_keeps_every_image_of_the_stream_with_the_same_probability():
    labels = torch.zeros(20, dtype=torch.int64)
    kept = torch.zeros(20)
    for seed in range(400):
        memory = Exemplars(5)
        for part in torch.arange(20).split(4):
            memory.add(
                torch.zeros(4, 3, 1, 1, dtype=torch.uint8),
                labels[part],
                part,
                order=priorities("reservoir", labels=labels[part], ids=part, seed=seed * 1000),
            )
        kept[memory.ids] += 1
    # 100 expected of each, with a standard deviation of 8.7.
    assert kept.min() > 60 and kept.max() < 140


def test_margin_keeps_the_surest():
    labels = torch.zeros(5, dtype=torch.int64)
    others = torch.tensor([[0.4, 0.1], [0.05, 0.0], [0.3, 0.65], [0.2, 0.25], [0.35, 0.1]])
    probs = torch.cat([1 - others.sum(1, keepdim=True), others], 1)  # margins .1 .9 -.6 .3 .2
    order = priorities("margin", labels=labels, ids=labels, probs=probs)
    assert order.argsort().tolist() == [1, 3, 4, 0, 2]


def kept_by(seed, count=1000, places=80):
    ids = torch.arange(count)
    order = priorities("reservoir", labels=torch.zeros_like(ids), ids=ids, seed=seed)
    return set(order.argsort()[:places].tolist())


@pytest.mark.parametrize("seed", [1, 2, 3, 17, 12345])
def test_a_reservoir_of_another_seed_is_another_draw(seed):
    """Also after any shift: 80 of 1000 twice have 6.4 in common, and 25 never in practice."""
    first, other = kept_by(0), kept_by(seed)
    moves = {0, seed, -seed, 1, -1, *(a - b for a in list(first)[:5] for b in list(other)[:5])}
    for move in moves:
        assert len(first & {each + move for each in other}) < 25


def test_over_seeds_every_image_has_the_same_chance():
    counts = np.zeros(100)
    for seed in range(400):
        counts[list(kept_by(seed, count=100, places=20))] += 1
    spread = ((counts - 80) ** 2 / (80 * 0.8)).mean()  # of a binomial: 1
    assert 0.6 < spread < 1.5


def test_draws_of_seeds_side_by_side_are_uncorrelated():
    ids = torch.arange(2000)
    draws = torch.stack(
        [
            priorities("reservoir", labels=torch.zeros_like(ids), ids=ids, seed=seed)
            for seed in range(6)
        ]
    )
    apart = torch.corrcoef(draws) - torch.eye(6, dtype=draws.dtype)
    assert apart.abs().max() < 0.1

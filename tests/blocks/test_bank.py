"""The bank against a model of plain Python lists, for any sequence of batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.blocks.by_id import ById
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.rings import Rings
from contsemi.errors import InputError
from contsemi.types import Experience

CLASSES = 3


class Model:
    """What a bank should hold: a list of (row, label, id) or None."""

    def __init__(self, capacity, policy, momentum):
        self.capacity, self.policy, self.momentum = capacity, policy, momentum
        self.slots = [None] * (capacity * CLASSES if policy == "rings" else capacity)
        self.written = [0] * CLASSES

    def push(self, batch):
        before = list(self.slots)
        for row, label, number in batch:
            if self.policy == "fifo":
                place = self.written[0] % self.capacity
                self.written[0] += 1
            elif self.policy == "rings":
                if not 0 <= label < CLASSES:
                    continue
                place = label * self.capacity + self.written[label] % self.capacity
                self.written[label] += 1
            else:
                place = number
                if not 0 <= number < self.capacity:
                    continue
                if self.momentum and before[place] is not None:
                    row = self.momentum * before[place][0] + (1 - self.momentum) * row
                    row = row / np.linalg.norm(row)
            self.slots[place] = (row, label, number)


def draw_batches(sizes, seed):
    random = np.random.default_rng(seed)
    for size in sizes:
        rows = random.normal(size=(size, 3))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        yield list(
            zip(
                rows,
                random.integers(-1, CLASSES + 1, size).tolist(),
                random.integers(-1, 9, size).tolist(),
                strict=True,
            )
        )


def push(bank, batch):
    rows = np.array([row for row, _, _ in batch]).reshape(-1, 3)
    columns = torch.tensor([[label, number] for _, label, number in batch], dtype=torch.int64)
    columns = columns.reshape(-1, 2)
    places = {"places": columns[:, 1]} if isinstance(bank, ById) else {}
    bank.push(torch.from_numpy(rows), labels=columns[:, 0], ids=columns[:, 1], **places)


def make(capacity, policy, momentum=0.0):
    if policy == "fifo":
        return Fifo(capacity)
    if policy == "rings":
        bank = Rings(capacity)
        bank.grow(CLASSES)
        return bank
    bank = ById(momentum=momentum)
    bank.resize(capacity)
    return bank


def check(bank, model):
    filled = [slot is not None for slot in model.slots]
    assert bank.filled.tolist() == filled
    for column, at in (("labels", 1), ("ids", 2)):
        expected = [-1 if slot is None else slot[at] for slot in model.slots]
        assert bank[column].tolist() == expected
    expected = np.array([np.zeros(3) if slot is None else slot[0] for slot in model.slots])
    np.testing.assert_allclose(bank.rows.numpy(), expected, rtol=1e-12, atol=1e-15)


POLICIES = st.sampled_from([("fifo", 0.0), ("by_id", 0.0), ("by_id", 0.4), ("rings", 0.0)])
SIZES = st.lists(st.integers(0, 20), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(kind=POLICIES, capacity=st.integers(1, 9), sizes=SIZES, seed=st.integers(0, 2**20))
def test_it_holds_what_the_model_holds(kind, capacity, sizes, seed):
    bank, model = make(capacity, *kind), Model(capacity, *kind)
    for batch in draw_batches(sizes, seed):
        push(bank, batch)
        model.push(batch)
        check(bank, model)


@settings(max_examples=60, deadline=None)
@given(
    kind=POLICIES,
    capacity=st.integers(1, 9),
    sizes=SIZES,
    seed=st.integers(0, 2**20),
    k=st.integers(1, 12),
    share=st.floats(0, 1),
)
def test_search_is_brute_force_over_what_is_filled_and_allowed(
    kind, capacity, sizes, seed, k, share
):
    bank, model = make(capacity, *kind), Model(capacity, *kind)
    for batch in draw_batches(sizes, seed):
        push(bank, batch)
        model.push(batch)
    random = np.random.default_rng(seed + 1)
    queries = random.normal(size=(5, 3))
    allow = random.random((5, len(model.slots))) < share
    near = bank.search(torch.from_numpy(queries), k, torch.from_numpy(allow))
    assert near.scores.shape == (5, min(k, len(model.slots)))
    for i, query in enumerate(queries):
        open_rows = [
            (float(query @ slot[0]), j)
            for j, slot in enumerate(model.slots)
            if slot is not None and allow[i, j]
        ]
        open_rows.sort(reverse=True)
        number = min(k, len(open_rows))
        assert near.found[i].tolist() == [j < number for j in range(len(near.found[i]))]
        assert near.index[i, :number].tolist() == [j for _, j in open_rows[:number]]
        np.testing.assert_allclose(near.scores[i, :number], [s for s, _ in open_rows[:number]])
        assert not near.index[i, number:].any()
        assert (near.scores[i, number:] == -torch.inf).all()
        mean = bank.shifted(torch.from_numpy(queries), k, torch.from_numpy(allow))[i]
        rows = [model.slots[j][0] for _, j in open_rows[:number]]
        np.testing.assert_allclose(mean, np.mean(rows, axis=0) if rows else query, 1e-12)
    dense = bank.scores(torch.from_numpy(queries))
    assert torch.equal(dense == -torch.inf, ~bank.filled.expand(5, -1))


@settings(max_examples=30, deadline=None)
@given(kind=POLICIES, capacity=st.integers(1, 9), sizes=SIZES, seed=st.integers(0, 2**20))
def test_a_restored_bank_goes_on_bit_for_bit(kind, capacity, sizes, seed):
    bank = make(capacity, *kind)
    batches = list(draw_batches([*sizes, 7], seed))
    for batch in batches[:-1]:
        push(bank, batch)
    restored = make(capacity, *kind)
    push(restored, batches[0])  # what it held before does not matter
    restored.load_state_dict({name: value.clone() for name, value in bank.state_dict().items()})
    for each in (bank, restored):
        push(each, batches[-1])
    ours, theirs = bank.state_dict(), restored.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_bank_that_was_never_written_has_a_state():
    restored = Fifo(4)
    restored.push(torch.ones(2, 3))
    restored.load_state_dict(Fifo(4).state_dict())
    assert not restored.allocated


def test_rings_grow_without_losing_a_row():
    bank = Rings(2)
    bank.grow(2)
    bank.push(torch.eye(3), labels=torch.tensor([0, 1, 1]))
    held = bank.rows[bank.filled].clone()
    bank.grow(4)
    bank.grow(1)  # never shrinks
    assert bank.slots == 8
    assert torch.equal(bank.rows[bank.filled], held)
    bank.push(torch.ones(1, 3), labels=torch.tensor([3]))
    assert bank.filled[-2] and (bank["labels"] == 3).sum() == 1


def test_a_table_is_as_long_as_the_pool_and_a_task_begins_with_an_empty_one():
    table, nothing = ById(), torch.empty(0, dtype=torch.int64)
    for ids in ([7, 9, 1000], [5, 6], range(2000, 2004)):
        pool = torch.as_tensor(ids)
        table.begin(Experience(0, (0,), 0, 1, nothing, nothing, pool))
        assert table.slots == len(pool)
        assert not table.allocated or not table.filled.any()
        table.push(torch.eye(2), places=torch.tensor([1, len(pool)]))
        assert table.filled.tolist() == [place == 1 for place in range(len(pool))]
        assert table.memory_bytes == 0


@pytest.mark.parametrize("kind", [Fifo, Rings])
def test_no_room_at_all_is_refused(kind):
    with pytest.raises(InputError, match="at least 1 row, got 0"):
        kind(0)


def test_a_ring_does_not_push_out_another_class():
    bank = Rings(3)
    bank.grow(2)
    bank.push(torch.eye(4)[:2], labels=torch.tensor([0, 0]))
    bank.push(torch.randn(50, 4), labels=torch.ones(50, dtype=torch.int64))
    assert torch.equal(bank.rows[:2], torch.eye(4)[:2])
    assert bank.filled.tolist() == [True, True, False, True, True, True]


def test_members_are_rows_of_the_class():
    bank = Rings(4)
    bank.grow(3)
    rows = torch.eye(7)
    bank.push(rows, labels=torch.tensor([0, 1, 1, 1, 1, 1, 1]))
    draw = torch.Generator().manual_seed(0)
    drawn, found = bank.members(torch.tensor([0, 1, 2, -1] * 6), 5, draw)
    assert drawn.shape == (24, 5, 7)
    assert found.tolist() == [True, True, False, False] * 6
    assert torch.equal(drawn[0::4], rows[0].expand(6, 5, -1))
    assert set(drawn[1::4].argmax(-1).flatten().tolist()) == {3, 4, 5, 6}  # the four newest, all
    assert not drawn[2::4].any() and not drawn[3::4].any()


def test_members_are_drawn_evenly_whatever_the_order_of_the_queries():
    """Queries that come class by class in turn read every row of a ring, not a few of them."""
    bank = Rings(32)
    bank.grow(3)
    bank.push(torch.eye(96), labels=torch.arange(3).repeat_interleave(32))
    draw = torch.Generator().manual_seed(0)
    counts = torch.zeros(96)
    for _ in range(100):
        drawn, _ = bank.members(torch.tensor([0, 1, 2] * 16), 4, draw)
        counts += drawn.sum((0, 1))
    expected = 100 * 16 * 4 / 32
    assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_rows_at_places():
    bank = make(4, "by_id")
    bank.push(torch.eye(2), places=torch.tensor([1, 3]))
    rows, found = bank.at(torch.tensor([3, 0, -1, 4, 1]))
    assert found.tolist() == [True, False, False, False, True]
    assert torch.equal(rows[found], torch.eye(2)[[1, 0]])
    assert not rows[~found].any()


def test_equal_compares_a_column():
    bank = Fifo(3)
    bank.push(torch.ones(2, 1), labels=torch.tensor([5, 6]))
    same = bank.equal("labels", torch.tensor([6, 5]))
    assert same.tolist() == [[False, True, False], [True, False, False]]


def test_soft_labels_and_other_columns_travel_with_the_rows():
    bank = Fifo(3)
    probs = torch.rand(5, 4).softmax(1)
    bank.push(torch.randn(5, 2), probs=probs, tasks=torch.arange(5))
    assert bank["probs"].dtype == torch.float32
    assert torch.equal(bank["probs"], probs[[3, 4, 2]])
    assert bank["tasks"].tolist() == [3, 4, 2]
    with pytest.raises(ValueError, match="columns"):
        bank.push(torch.randn(1, 2))


def test_clear_forgets_and_begins_at_the_first_row():
    bank = Fifo(3)
    bank.push(torch.ones(2, 1), labels=torch.tensor([5, 6]))
    bank.clear()
    assert not bank.filled.any() and (bank["labels"] == -1).all()
    bank.push(torch.ones(1, 1), labels=torch.tensor([7]))
    assert bank["labels"].tolist() == [7, -1, -1]


def test_no_gradient_is_stored_but_scores_have_one():
    bank = Fifo(3)
    bank.push(torch.randn(3, 2, requires_grad=True))
    assert not bank.rows.requires_grad
    queries = torch.randn(2, 2, requires_grad=True)
    scores = bank.scores(queries)
    scores.logsumexp(1).sum().backward()
    assert queries.grad.isfinite().all() and queries.grad.any()


def test_one_array_serves_both():
    bank = Fifo(4)
    bank.push(torch.eye(4))
    assert bank.rows.data_ptr() == bank.state_dict()["store_rows"].data_ptr()
    assert math.isclose(bank.search(torch.eye(4), 1).scores.sum(), 4)


@pytest.mark.parametrize("kind", [Fifo, Rings])
def test_rows_that_outlive_a_task_count_as_memory(kind):
    lasting, passing = (kind(5, current_only=flag) for flag in (False, True))
    for bank in (lasting, passing):
        if kind is Rings:
            bank.grow(6)
        assert bank.memory_bytes == 0
        columns = {"ids": torch.tensor([0, 2, 2]), "labels": torch.tensor([1, 0, 1])}
        bank.push(torch.ones(3, 4), **columns)
    assert lasting.memory_bytes == 3 * (4 * 4 + 8 + 8)
    assert passing.memory_bytes == 0

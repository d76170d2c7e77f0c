"""The bank against a model of plain Python lists, for any sequence of batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.blocks.bank import Bank

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
    bank.push(torch.from_numpy(rows), labels=columns[:, 0], ids=columns[:, 1])


def make(capacity, policy, momentum=0.0):
    bank = Bank(capacity, policy, momentum=momentum)
    if policy == "rings":
        bank.grow(CLASSES)
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
        np.testing.assert_allclose(mean, np.mean(rows, axis=0) if rows else query)
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
    restored = Bank(4)
    restored.push(torch.ones(2, 3))
    restored.load_state_dict(Bank(4).state_dict())
    assert not restored.allocated


@pytest.mark.parametrize("policy", ["by_id", "rings"])
def test_it_grows_without_losing_a_row(policy):
    bank = Bank(2, policy)
    bank.grow(2)
    numbers = torch.tensor([0, 1, 1])
    bank.push(torch.eye(3), labels=numbers, ids=numbers)
    held = bank.rows[bank.filled].clone()
    bank.grow(4)
    bank.grow(1)  # never shrinks
    assert bank.slots == (8 if policy == "rings" else 4)
    assert torch.equal(bank.rows[bank.filled], held)
    new = torch.tensor([3])
    bank.push(torch.ones(1, 3), labels=new, ids=new)
    assert (bank["ids"] == 3).sum() == 1
    assert bank.filled[-2 if policy == "rings" else -1]


def test_a_ring_does_not_push_out_another_class():
    bank = Bank(3, "rings")
    bank.grow(2)
    bank.push(torch.eye(4)[:2], labels=torch.tensor([0, 0]))
    bank.push(torch.randn(50, 4), labels=torch.ones(50, dtype=torch.int64))
    assert torch.equal(bank.rows[:2], torch.eye(4)[:2])
    assert bank.filled.tolist() == [True, True, False, True, True, True]


def test_members_are_rows_of_the_class():
    bank = Bank(4, "rings")
    bank.grow(3)
    rows = torch.eye(7)
    bank.push(rows, labels=torch.tensor([0, 1, 1, 1, 1, 1, 1]))
    drawn, found = bank.members(torch.tensor([0, 1, 2, -1] * 6), 5)
    assert drawn.shape == (24, 5, 7)
    assert found.tolist() == [True, True, False, False] * 6
    assert torch.equal(drawn[0::4], rows[0].expand(6, 5, -1))
    assert set(drawn[1::4].argmax(-1).flatten().tolist()) == {3, 4, 5, 6}  # the four newest, all
    assert not drawn[2::4].any() and not drawn[3::4].any()


def test_of_ids():
    bank = Bank(4, "by_id")
    bank.push(torch.eye(2), ids=torch.tensor([1, 3]))
    rows, found = bank.of_ids(torch.tensor([3, 0, -1, 4, 1]))
    assert found.tolist() == [True, False, False, False, True]
    assert torch.equal(rows[found], torch.eye(2)[[1, 0]])
    assert not rows[~found].any()


def test_equal_compares_a_column():
    bank = Bank(3)
    bank.push(torch.ones(2, 1), labels=torch.tensor([5, 6]))
    same = bank.equal("labels", torch.tensor([6, 5]))
    assert same.tolist() == [[False, True, False], [True, False, False]]


def test_soft_labels_and_other_columns_travel_with_the_rows():
    bank = Bank(3)
    probs = torch.rand(5, 4).softmax(1)
    bank.push(torch.randn(5, 2), probs=probs, tasks=torch.arange(5))
    assert bank["probs"].dtype == torch.float32
    assert torch.equal(bank["probs"], probs[[3, 4, 2]])
    assert bank["tasks"].tolist() == [3, 4, 2]
    with pytest.raises(ValueError, match="columns"):
        bank.push(torch.randn(1, 2))


def test_clear_forgets_and_begins_at_the_first_row():
    bank = Bank(3)
    bank.push(torch.ones(2, 1), labels=torch.tensor([5, 6]))
    bank.clear()
    assert not bank.filled.any() and (bank["labels"] == -1).all()
    bank.push(torch.ones(1, 1), labels=torch.tensor([7]))
    assert bank["labels"].tolist() == [7, -1, -1]


def test_no_gradient_is_stored_but_scores_have_one():
    bank = Bank(3)
    bank.push(torch.randn(3, 2, requires_grad=True))
    assert not bank.rows.requires_grad
    queries = torch.randn(2, 2, requires_grad=True)
    scores = bank.scores(queries)
    scores.logsumexp(1).sum().backward()
    assert queries.grad.isfinite().all() and queries.grad.any()


def test_one_array_serves_both():
    bank = Bank(4)
    bank.push(torch.eye(4))
    assert bank.rows.data_ptr() == bank.state_dict()["store_rows"].data_ptr()
    assert math.isclose(bank.search(torch.eye(4), 1).scores.sum(), 4)


@pytest.mark.parametrize("policy", ["fifo", "by_id", "rings"])
def test_rows_that_outlive_a_task_count_as_memory(policy):
    lasting, passing = (Bank(5, policy, current_only=flag) for flag in (False, True))
    for bank in (lasting, passing):
        bank.grow(6)
        assert bank.memory_bytes == 0
        columns = {"ids": torch.tensor([0, 2, 2]), "labels": torch.tensor([1, 0, 1])}
        bank.push(torch.ones(3, 4), **columns)
    rows = 2 if policy == "by_id" else 3
    assert lasting.memory_bytes == rows * (4 * 4 + 8 + 8)
    assert passing.memory_bytes == 0

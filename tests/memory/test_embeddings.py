"""The embedding memory against a NumPy oracle."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contsemi.memory.embeddings import Embeddings


def unit_rows(count, seed, width=6):
    return functional.normalize(
        torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 20), st.integers(0, 99))
def test_each_class_keeps_its_most_confident_rows(sizes, budget, seed):
    memory = Embeddings(budget)
    held: list[tuple[float, int, int]] = []  # confidence, column, id
    draw = np.random.default_rng(seed)
    next_id = 0
    for task, size in enumerate(sizes):
        columns = 2 * (task + 1)
        probs = torch.tensor(draw.dirichlet(np.ones(columns), size)).half()
        ids = torch.arange(next_id, next_id + size)
        next_id += size
        memory.add(unit_rows(size, seed), probs, ids, task)
        confidence, column = probs.float().max(1)
        held += zip(confidence.tolist(), column.tolist(), ids.tolist(), strict=True)
        kept_ids = set(memory.ids.tolist())
        assert len(kept_ids) == len(memory) == min(budget, len(held))
        for each in range(columns):
            own = sorted((row for row in held if row[1] == each), key=lambda row: (-row[0], row[2]))
            kept = [row for row in own if row[2] in kept_ids]
            assert kept == own[: len(kept)]
        held = [row for row in held if row[2] in kept_ids]


def test_soft_labels_are_widened_when_classes_arrive():
    memory = Embeddings(10)
    memory.add(unit_rows(2, 0), torch.tensor([[0.75, 0.25], [0.5, 0.5]]), torch.arange(2), 0)
    memory.add(unit_rows(1, 1), torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([9]), 1)
    rows = memory.view()
    assert rows.probs.tolist() == [[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert rows.tasks.tolist() == [0, 0, 1]


def test_no_budget_keeps_nothing():
    memory = Embeddings(0)
    memory.add(unit_rows(2, 0), torch.eye(2), torch.arange(2), 0)
    assert memory.view() is None
    assert memory.memory_bytes == 0


def test_carried_rows_follow_the_map():
    memory = Embeddings(10)
    old = unit_rows(5, 3)
    memory.add(old, torch.eye(5), torch.arange(5), 0)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(4))).Q
    memory.carry(lambda rows: rows @ rotation)
    torch.testing.assert_close(memory.view().embeddings, old @ rotation, atol=2e-3, rtol=0)


def test_rows_whose_image_is_kept_are_renewed():
    memory = Embeddings(10)
    old, new = unit_rows(4, 3), unit_rows(3, 5)
    memory.add(old, torch.eye(4), torch.tensor([7, 2, 9, 4]), 0)
    memory.view()
    memory.renew(torch.tensor([9, 30, 7]), new)
    expected = torch.stack([new[2], old[1], new[0], old[3]])
    torch.testing.assert_close(memory.view().embeddings, expected, atol=1e-3, rtol=0)
    memory.renew(torch.empty(0, dtype=torch.int64), new[:0])
    torch.testing.assert_close(memory.view().embeddings, expected, atol=1e-3, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 600), st.integers(1, 4))
def test_bytes_are_never_exceeded(limit, tasks):
    memory, offered = Embeddings(12), 0
    for task in range(tasks):
        probs = torch.eye(2 * task + 2).repeat(3, 1)
        ids = torch.arange(100 * task, 100 * task + len(probs))
        memory.add(unit_rows(len(probs), task), probs, ids, task, limit=limit)
        each = 2 * (6 + probs.shape[1]) + 16
        offered += len(probs)
        assert len(memory) == min(12, limit // each, offered)
        offered = len(memory)
        assert memory.memory_bytes <= limit


def test_the_index_is_made_of_the_rows_held_and_never_restored():
    saved, memory = Embeddings(10), Embeddings(10)
    for each, seed in ((saved, 3), (memory, 4)):
        each.add(unit_rows(5, seed), torch.eye(5), torch.arange(5), 0)
        each.view()
    assert saved.state().keys() == {"rows", "probs", "ids", "tasks"}
    memory.load(saved.state())
    assert memory.view().search(unit_rows(5, 3), 1)[1].flatten().tolist() == [0, 1, 2, 3, 4]


def test_the_index_says_why():
    memory = Embeddings(10, "flat")
    assert memory.reason == ""
    memory.add(unit_rows(2, 0), torch.eye(2), torch.arange(2), 0)
    assert memory.reason == "flat: asked for"

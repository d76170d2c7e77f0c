"""The embedding memory against a NumPy oracle."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contsemi.memory.embeddings import Embeddings, fit_drift


def unit_rows(count, seed, width=6):
    return functional.normalize(
        torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1
    )


@settings(max_examples=40)
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


def test_drift_map_recovers_a_rotation_and_shrinks_to_none():
    old = unit_rows(400, 3)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(4))).Q
    found = fit_drift(old, old @ rotation, ridge=1e-6)
    torch.testing.assert_close(found, rotation, atol=1e-4, rtol=0)
    oracle = np.linalg.solve(
        old.T.numpy() @ old.numpy() + 4 * np.eye(6),
        old.T.numpy() @ (old @ rotation).numpy() + 4 * np.eye(6),
    )
    np.testing.assert_allclose(fit_drift(old, old @ rotation, ridge=0.01), oracle, atol=1e-4)
    torch.testing.assert_close(fit_drift(old, old), torch.eye(6), atol=1e-5, rtol=0)


def test_translated_rows_follow_the_map():
    memory = Embeddings(10)
    old = unit_rows(5, 3)
    memory.add(old, torch.eye(5), torch.arange(5), 0)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(4))).Q
    memory.translate(rotation)
    torch.testing.assert_close(memory.view().embeddings, old @ rotation, atol=2e-3, rtol=0)

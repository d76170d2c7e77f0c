"""Both forms of the index against a NumPy oracle."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.memory.index import Index


@pytest.mark.parametrize("kind", ["torch", "flat"])
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    queries=st.integers(1, 8),
    k=st.integers(1, 50),
    seed=st.integers(0, 999),
)
def test_search_equals_numpy(kind, rows, queries, k, seed):
    draw = np.random.default_rng(seed)
    stored = draw.normal(size=(rows, 5)).astype(np.float32)
    asked = draw.normal(size=(queries, 5)).astype(np.float32)
    index = Index(torch.from_numpy(stored), kind)
    assert index.kind == kind
    scores, found = index.search(torch.from_numpy(asked), k)
    oracle = np.sort(asked @ stored.T, axis=1)[:, ::-1][:, : min(k, rows)]
    np.testing.assert_allclose(scores, oracle, atol=1e-4)
    np.testing.assert_allclose(
        np.take_along_axis(asked @ stored.T, found.numpy(), 1), oracle, atol=1e-4
    )


def test_auto_says_why():
    index = Index(torch.eye(3), "auto")
    assert index.kind == "torch"
    assert "3 rows on cpu" in index.reason


def test_without_faiss_torch_answers(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    index = Index(torch.eye(3), "flat")
    assert (index.kind, index.reason) == ("torch", "faiss is not installed")
    assert index.search(torch.eye(3), 1)[1].flatten().tolist() == [0, 1, 2]

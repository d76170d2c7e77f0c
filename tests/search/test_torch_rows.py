"""Exact search stays exact whatever proposes the candidates: against NumPy in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contsemi.search import top_products
from contsemi.search import torch_rows as index_torch
from contsemi.search.torch_rows import TorchRows, in_pieces

FORMS = ["float32", "bfloat16"]


@pytest.fixture(autouse=True)
def small_thresholds(monkeypatch):
    """Thresholds and bfloat16 from the first rows on, in blocks that do not divide them."""
    monkeypatch.setattr(index_torch, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(index_torch, "_GROUPED_FROM", 0)
    monkeypatch.setattr(index_torch, "_GROUPED_PER_K", 4)
    monkeypatch.setattr(top_products, "_ROWS", 128)


def searched(form, rows, queries, k):
    index = TorchRows(rows)
    index._screened = lambda k: form == "bfloat16"
    return index.search(queries, k)


def assert_best(rows, queries, k, scores, places):
    """The scores are the k greatest in double precision, to the rounding of float32."""
    true = queries.double().numpy() @ rows.double().numpy().T
    best = -np.sort(-true, axis=1)[:, :k]
    np.testing.assert_allclose(scores, best, atol=1e-5)
    for row_places, row_true, row_scores in zip(places, true, scores, strict=True):
        assert len(set(row_places.tolist())) == len(row_places)
        np.testing.assert_allclose(row_true[row_places], row_scores, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 700),
    queries=st.integers(1, 70),
    k=st.integers(1, 60),
    spread=st.sampled_from([1.0, 1e-2, 1e-4, 0.0]),
    scale=st.sampled_from([1.0, 1e-3, 300.0]),
    seed=st.integers(0, 999),
)
def test_equals_a_sort(form, count, queries, k, spread, scale, seed):
    """Rows may be so near to each other that their rounding hides the order, or all the same."""
    draw = torch.Generator().manual_seed(seed)
    centre = functional.normalize(torch.randn(1, 24, generator=draw), dim=1)
    rows = scale * (centre + spread * torch.randn(count, 24, generator=draw))
    asked = centre + spread * torch.randn(queries, 24, generator=draw)
    k = min(k, count)
    scores, places = searched(form, rows, asked, k)
    assert_best(rows / scale, asked, k, scores / scale, places)


@pytest.mark.parametrize("form", FORMS)
def test_pieces_of_rows_and_of_queries(form, monkeypatch):
    """Neither a bound on the scores held nor one on the rows gathered changes the answer."""
    draw = torch.Generator().manual_seed(0)
    rows, queries = (torch.randn(n, 16, generator=draw) for n in (1000, 150))
    expected = searched(form, rows, queries, 9)
    for module in (index_torch, top_products):
        monkeypatch.setattr(module, "BYTES", 64 * 4 * 300)
        monkeypatch.setattr(module, "QUERIES", 7)
    monkeypatch.setattr(index_torch, "_GATHERED", 1000)
    found = searched(form, rows, queries, 9)
    assert torch.equal(found[1], expected[1])


def test_bfloat16_needs_few_candidates_and_misses_none(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    rows, queries = (
        functional.normalize(torch.randn(n, 64, generator=draw), dim=1) for n in (20_000, 50)
    )
    seen = []
    made = index_torch.candidates

    def noted(*args, **named):
        seen.append(made(*args, **named))
        return seen[-1]

    monkeypatch.setattr(index_torch, "candidates", noted)
    scores, places = searched("bfloat16", rows, queries, 10)
    assert_best(rows, queries, 10, scores, places)
    assert len(seen) == 1 and not seen[0].heavy.any()
    assert 10 * 50 <= len(seen[0].query) < 20 * 50


def test_a_margin_that_is_too_small_would_lose_rows():
    """The bound is what keeps the answer exact: without it the same search misses some."""
    draw = torch.Generator().manual_seed(0)
    centre = functional.normalize(torch.randn(1, 64, generator=draw), dim=1)
    rows, queries = (centre + 0.3 * torch.randn(n, 64, generator=draw) for n in (5000, 200))
    index = TorchRows(rows)
    expected = (queries @ rows.T).topk(10).values
    half = index._halved(queries)
    found = index_torch._search(queries, rows, half, 10)[0]
    assert torch.allclose(found, expected, atol=1e-6)
    bare = half[0], half[1], top_products.Margin(torch.zeros(200), 0.0)
    found = index_torch._search(queries, rows, bare, 10)[0]
    assert not torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("queries", [1, 5])
def test_rows_that_are_made_for_the_search_are_made_a_few_at_a_time(queries, monkeypatch):
    """However few ask: what is made is as large as the rows themselves."""
    draw = torch.Generator().manual_seed(0)
    rows, asked = torch.randn(3000, 24, generator=draw), torch.randn(queries, 24, generator=draw)
    monkeypatch.setattr(index_torch, "BYTES", 4 * 24 * 500)
    made = []

    class Made:
        device = rows.device

        def __len__(self):
            return len(rows)

        def __getitem__(self, part):
            made.append(len(rows[part]))
            return rows[part]

    assert_best(rows, asked, 7, *in_pieces(asked, Made(), 7))
    assert max(made) <= 500

"""The streamed votes against the dense function, values and gradients, in pieces of any size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.losses import nearest_stream
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.losses.nearest_stream import row_votes, sum_votes, support_votes


def streamed_nearest_neighbours(*args, **options):
    return support_votes(*args, **options).log_probs()


def example(count, seed, dtype=torch.float64, classes=3):
    draw = torch.Generator().manual_seed(seed)
    queries = torch.randn(4, 5, generator=draw, dtype=torch.float64)
    supports = torch.randn(count, 5, generator=draw, dtype=torch.float64)
    labels = (3 * torch.randn(count, classes, generator=draw, dtype=torch.float64)).softmax(1)
    return queries.to(dtype), supports.to(dtype), labels.to(dtype)


def with_gradients(function, queries, supports, labels, **options):
    queries = queries.clone().requires_grad_()
    supports = supports.clone().requires_grad_()
    found = function(queries, supports, labels, **options)
    sign = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).view_as(found)
    (found * sign).sum().backward()
    return found, queries.grad, supports.grad


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 30),
    piece=st.sampled_from([1, 30, 4000]),
    temperature=st.sampled_from([1.0, 0.1, 0.015, 0.003]),
    weighted=st.booleans(),
    seed=st.integers(0, 999),
)
def test_equals_the_dense_function(count, piece, temperature, weighted, seed):
    queries, supports, labels = example(count, seed)
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randint(0, 3, (count,), generator=draw).double() if weighted else None
    options = {"temperature": temperature, "weights": weights}
    expected = with_gradients(soft_nearest_neighbours, queries, supports, labels, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_stream, "_SCORES", piece)
        found = with_gradients(streamed_nearest_neighbours, queries, supports, labels, **options)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("temperature", [0.1, 0.003])
def test_float32_with_hard_labels_and_a_class_without_support(temperature):
    queries, supports, _ = example(40, 0, torch.float32)
    labels = torch.eye(4)[torch.arange(40) % 3]
    found = with_gradients(
        streamed_nearest_neighbours, queries, supports, labels, temperature=temperature
    )
    assert all(x.isfinite().all() for x in found)
    assert (found[0][:, 3] < -80).all()
    expected = soft_nearest_neighbours(
        queries.double(), supports.double(), labels.double(), temperature=temperature
    )
    torch.testing.assert_close(
        found[0][:, :3].double(), expected[:, :3], rtol=1e-5, atol=1e-5 / temperature
    )


def test_parts_joined_equal_the_whole_with_gradients_for_the_moving_part():
    queries, supports, labels = example(20, 3)

    def parts(q, s, y, *, temperature):
        moving = support_votes(q, s[:7], y[:7], temperature=temperature)
        still = [
            support_votes(q, s[part].detach(), y[part], temperature=temperature)
            for part in (slice(7, 8), slice(8, 20))
        ]
        return sum_votes(moving, *still).log_probs()

    found = with_gradients(parts, queries, supports, labels, temperature=0.1)
    expected = with_gradients(soft_nearest_neighbours, queries, supports, labels, temperature=0.1)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(found[2][:7], expected[2][:7])
    assert (found[2][7:] == 0).all()


def test_a_query_that_no_support_hears_moves_nothing():
    queries, supports, labels = example(6, 1, torch.float32)
    found = with_gradients(
        streamed_nearest_neighbours,
        queries,
        supports,
        labels,
        temperature=0.1,
        weights=torch.zeros(6),
    )
    assert all((x == 0).all() for x in found)


def test_supports_in_half_precision_and_autocast_are_computed_in_float32():
    queries, supports, labels = example(50, 2, torch.float32)
    plain = streamed_nearest_neighbours(
        queries, supports.half().float(), labels.half(), temperature=0.1
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = streamed_nearest_neighbours(
            queries, supports.half(), labels.half(), temperature=0.1
        )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain)


def test_memory_never_holds_a_matrix_of_queries_by_supports(monkeypatch):
    monkeypatch.setattr(nearest_stream, "_SCORES", 64)
    queries, supports, labels = example(500, 0, torch.float32)
    seen = []
    original = nearest_stream._scores
    monkeypatch.setattr(
        nearest_stream, "_scores", lambda *args: seen.append(args[1].shape[0]) or original(*args)
    )
    queries.requires_grad_()
    streamed_nearest_neighbours(queries, supports, labels, temperature=0.1).sum().backward()
    assert max(seen) * len(queries) <= 64 and sum(seen) == 2 * 500


def test_no_support_is_an_error():
    with pytest.raises(ValueError, match="at least one support"):
        support_votes(torch.ones(2, 3), torch.ones(0, 3), torch.ones(0, 2), temperature=0.1)


@pytest.mark.parametrize("temperature", [0.1, 0.003])
def test_own_rows_of_each_query_equal_a_mask_of_all(temperature):
    """Also: a place of -1 is no row, and a query without any says nothing."""
    queries, rows, labels = example(30, 4)
    places = torch.tensor([[0, 7, 29], [3, -1, 4], [-1, -1, -1], [5, 6, -1]])
    mask = torch.zeros(4, 30, dtype=torch.float64)
    for row, chosen in zip(mask, places, strict=True):
        row[chosen[chosen >= 0]] = 1
    options = {"temperature": temperature}
    expected = with_gradients(
        soft_nearest_neighbours, queries, rows, labels, weights=mask, **options
    )

    def by_rows(q, s, y, **more):
        return row_votes(q, s, y, places, **more).log_probs()

    found = with_gradients(by_rows, queries, rows, labels, **options)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)

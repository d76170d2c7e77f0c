"""The summary of a large memory against the exact vote of all its rows."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.memory import summary as summary_module
from contsemi.memory.summary import Summary

CLASSES = 10


def rows_of_classes(count, seed, width=32, inner=6, parts=3):
    """Unit rows: each class is a few flat, overlapping blobs, plus noise."""
    shape = np.random.default_rng(0)
    centres = shape.normal(size=(CLASSES, 1, width))
    centres = centres + 0.5 * shape.normal(size=(CLASSES, parts, width))
    spread = 0.35 * shape.normal(size=(CLASSES, parts, inner, width))
    draw = np.random.default_rng(seed)
    own, part = draw.integers(0, CLASSES, count), draw.integers(0, parts, count)
    rows = centres[own, part] + 0.12 * draw.normal(size=(count, width))
    rows += np.einsum("ni,niw->nw", draw.normal(size=(count, inner)), spread[own, part])
    labels = 0.9 * np.eye(CLASSES)[own] + 0.1 / CLASSES
    return (
        functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=1),
        torch.tensor(labels, dtype=torch.float32),
    )


def summary(rows, labels, groups=40, rank=8):
    return Summary(rows, labels, groups=groups, rank=rank, draw=torch.Generator().manual_seed(0))


def distance(found, expected):
    return (found.exp() - expected.exp()).abs().sum(1)


def test_error_is_bounded_where_top_k_is_far_off():
    rows, labels = rows_of_classes(4000, 1)
    queries, _ = rows_of_classes(100, 2)
    expected = soft_nearest_neighbours(queries, rows, labels, temperature=0.1)
    parts = summary(rows, labels)
    found = parts.votes(queries, temperature=0.1, near=8).log_probs()
    assert distance(found, expected).mean() <= 0.01
    assert distance(found, expected).max() <= 0.03

    nearest = (queries @ rows.T).topk(200).indices
    weights = torch.zeros(len(queries), len(rows)).scatter_(1, nearest, 1.0)
    cut = soft_nearest_neighbours(queries, rows, labels, temperature=0.1, weights=weights)
    assert distance(cut, expected).mean() > 10 * distance(found, expected).mean()


def test_near_rows_help_and_all_of_them_are_exact_with_gradients():
    rows, labels = rows_of_classes(1000, 1)
    queries, _ = rows_of_classes(20, 2)
    parts = summary(rows, labels, groups=20)
    asked = [queries.clone().requires_grad_() for _ in range(2)]
    expected = soft_nearest_neighbours(asked[0], rows, labels, temperature=0.1)
    found = parts.votes(asked[1], temperature=0.1, near=len(parts)).log_probs()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for log_probs in (expected, found):
        (log_probs * torch.linspace(-1, 1, CLASSES)).sum().backward()
    torch.testing.assert_close(asked[1].grad, asked[0].grad, atol=1e-4, rtol=1e-4)
    errors = [
        distance(parts.votes(queries, temperature=0.1, near=near).log_probs(), expected).mean()
        for near in (0, 4, 12)
    ]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize(("count", "groups", "rank"), [(1, 5, 40), (7, 100, 3), (50, 1, 0)])
def test_few_rows_and_odd_sizes(count, groups, rank):
    rows, labels = rows_of_classes(count, 1)
    queries, _ = rows_of_classes(6, 2)
    queries.requires_grad_()
    parts = summary(rows, labels, groups, rank)
    assert int(parts._counts.sum()) == count and int(parts._counts.min()) > 0
    found = parts.votes(queries, temperature=0.1, near=1000).log_probs()
    expected = soft_nearest_neighbours(queries, rows, labels, temperature=0.1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    parts.votes(queries, temperature=0.1, near=0).log_probs().sum().backward()
    assert queries.grad.isfinite().all()


def test_moments_of_a_gaussian_group_give_its_mean_weight():
    draw = torch.Generator().manual_seed(0)
    rows = 0.05 * torch.randn(50_000, 4, generator=draw) + torch.tensor([0.5, 0.5, 0, 0])
    parts = summary(rows, torch.ones(50_000, 1), groups=1, rank=2)
    query = functional.normalize(torch.tensor([[1.0, 0.2, 0.3, 0.0]]), dim=1)
    expected = (rows @ query.T / 0.1).logsumexp(0)
    torch.testing.assert_close(parts._weight(query, 0.1)[0], expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("gathered", [1, 3000, 1 << 27])
def test_groups_without_a_wait_say_the_same(gathered, monkeypatch):
    """As on a GPU, in chunks of any size: votes and gradients."""
    monkeypatch.setattr(summary_module, "_GATHERED", gathered)
    rows, labels = rows_of_classes(700, 1)
    parts = summary(rows.double(), labels.double())
    chosen = parts._weight(rows[:9].double(), 0.1).topk(5, dim=1).indices
    found = []
    for way in (parts._near, parts._near_without_a_wait):
        asked = rows_of_classes(9, 2)[0].double().requires_grad_()
        votes = way(functional.normalize(asked, dim=1), chosen, 0.1)
        (
            (votes.log_votes * torch.linspace(-1, 1, CLASSES)).sum() + votes.log_total.sum()
        ).backward()
        found.append((votes.log_votes, votes.log_total, asked.grad))
    torch.testing.assert_close(*found)

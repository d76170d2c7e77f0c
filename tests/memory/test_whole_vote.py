"""The vote of a whole memory: exact when small or in doubt, within its bound when large."""

import torch
from torch.nn import functional

from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.losses.nearest_stream import Votes
from contsemi.memory.whole_vote import BOUND, WholeVote

CLASSES = 6


def rows_of_classes(count, seed, noise):
    """Unit rows around three centres a class."""
    shape = torch.Generator().manual_seed(0)
    centres = torch.randn(3 * CLASSES, 16, generator=shape)
    draw = torch.Generator().manual_seed(seed)
    own = torch.randint(3 * CLASSES, (count,), generator=draw)
    rows = centres[own] + noise * torch.randn(count, 16, generator=draw)
    return functional.normalize(rows, dim=1), functional.one_hot(own % CLASSES, CLASSES).float()


def probs(vote, queries):
    return Votes(*vote(queries, 0.1)).log_probs().exp()


def test_few_rows_vote_exactly_and_with_a_gradient():
    rows, labels = rows_of_classes(500, 1, 0.5)
    queries = rows_of_classes(20, 2, 0.5)[0].requires_grad_()
    vote = WholeVote(rows, labels)
    assert vote.reason == ""
    expected = soft_nearest_neighbours(queries, rows, labels, temperature=0.1).exp()
    torch.testing.assert_close(probs(vote, queries), expected)
    assert vote.reason == "500 rows vote exactly"
    probs(vote, queries)[:, 0].sum().backward()
    assert queries.grad.any(1).all()


def test_many_rows_vote_by_a_summary_within_the_bound():
    rows, labels = rows_of_classes(4000, 1, 0.4)
    queries = rows_of_classes(200, 2, 0.4)[0].requires_grad_()
    vote = WholeVote(rows, labels, exact_up_to=1000)
    expected = soft_nearest_neighbours(queries, rows, labels, temperature=0.1).exp()
    found = probs(vote, queries)
    assert "groups" in vote.reason and "measured error 0.00" in vote.reason
    # What was measured on other queries holds for these.
    assert (found - expected).abs().sum(1).mean() <= BOUND
    found[:, 0].sum().backward()
    assert queries.grad.isfinite().all()
    again = WholeVote(rows, labels, exact_up_to=1000)
    assert torch.equal(probs(again, queries), found) and again.reason == vote.reason


def test_a_summary_that_is_wrong_is_not_used():
    """Labels that have nothing to do with the rows: every group would have to be looked at."""
    rows, _ = rows_of_classes(1500, 1, 3.0)
    labels = torch.eye(CLASSES)[torch.arange(1500) % CLASSES]
    vote = WholeVote(rows, labels, exact_up_to=100)
    queries = rows_of_classes(20, 2, 3.0)[0]
    expected = soft_nearest_neighbours(queries, rows, labels, temperature=0.1).exp()
    torch.testing.assert_close(probs(vote, queries), expected)
    assert "vote exactly: a summary is wrong by" in vote.reason

"""MoCHi's mixes: limits of the shares, lengths, and how near they come to the query."""

import torch
from torch.nn import functional

from contsemi.assign.mixes import hardest, mixes_of_pairs, mixes_with_queries


def unit(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=draw, dtype=torch.float64), dim=-1)


def test_the_hardest_come_first_and_what_is_no_row_last():
    scores = torch.tensor([[0.1, -torch.inf, 0.9], [-torch.inf, 0.2, 0.3]])
    index, number = hardest(scores, 5)
    assert index[:, :2].tolist() == [[2, 0], [2, 1]]
    assert index[:, 2].tolist() == [1, 0]
    assert number.tolist() == [2, 2]


def test_shares_of_none_and_all():
    first, second = unit(5, 3, 4), unit(5, 3, 4, seed=1)
    zeros = torch.zeros(5, 3, dtype=torch.float64)
    torch.testing.assert_close(mixes_of_pairs(first, second, zeros), second)
    torch.testing.assert_close(mixes_of_pairs(first, second, 1 + zeros), first)
    torch.testing.assert_close(mixes_with_queries(unit(5, 4, seed=2), first, zeros), first)


def test_of_a_pair_of_the_same_row_it_is_that_row():
    row = unit(2, 3, 4)
    torch.testing.assert_close(mixes_of_pairs(row, row, torch.rand(2, 3).double()), row)


def test_a_mix_with_the_query_is_nearer_to_it_and_of_unit_length():
    queries, negatives = unit(50, 6), unit(50, 20, 6, seed=1)
    share = torch.rand(50, 20, dtype=torch.float64) / 2
    mixed = mixes_with_queries(queries, negatives, share)
    before = (negatives * queries[:, None]).sum(dim=2)
    after = (mixed * queries[:, None]).sum(dim=2)
    assert (after >= before - 1e-12).all()
    torch.testing.assert_close(mixed.norm(dim=2), torch.ones(50, 20, dtype=torch.float64))


def test_no_gradient_flows_through_a_mix():
    queries, negatives = unit(2, 3).requires_grad_(), unit(2, 4, 3).requires_grad_()
    assert not mixes_with_queries(queries, negatives, torch.rand(2, 4)).requires_grad

"""XMoCo's two penalties on a matrix of similarities, in closed form."""

import math

import pytest
import torch
from torch.nn import functional

from contsemi.losses.cross_consistency import cross_consistency, unevenness


def unit(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=draw, dtype=torch.float64), dim=-1)


def others(number):
    return ~torch.eye(number, dtype=torch.bool)


def test_the_same_rows_in_both_views_are_consistent():
    rows = unit(6, 4)
    assert cross_consistency(rows @ rows.T, allow=others(6)).item() == pytest.approx(0, abs=1e-30)


def test_two_images_by_hand():
    scores = torch.tensor([[0.9, 0.3], [0.1, 0.8]], requires_grad=True)
    loss = cross_consistency(scores, allow=others(2))
    assert loss.item() == pytest.approx(0.04)
    loss.backward()
    # d/dS_12 of (S_12 - S_21)^2, which both pairs have: 2 (0.3 - 0.1)
    torch.testing.assert_close(scores.grad, torch.tensor([[0.0, 0.4], [-0.4, 0.0]]))


def test_equal_others_are_even():
    scores = torch.full((5, 5), 0.3).fill_diagonal_(0.9)
    loss = unevenness(scores, temperature=0.1, allow=others(5))
    torch.testing.assert_close(loss, torch.tensor(0.0), atol=1e-6, rtol=0)


def test_unevenness_by_hand():
    """softmax = (3/4, 1/4): KL(uniform || it) = log(1/2) - (log 3/4 + log 1/4) / 2."""
    scores = torch.tensor([[0.0, math.log(3), 0.0]])
    allow = torch.tensor([[False, True, True]])
    expected = math.log(0.5) - (math.log(0.75) + math.log(0.25)) / 2
    assert unevenness(scores, temperature=1.0, allow=allow).item() == pytest.approx(expected)


def test_gradients_are_those_of_differences():
    scores = (unit(4, 3) @ unit(4, 3, seed=1).T).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: (
            cross_consistency(s, allow=others(4)),
            unevenness(s, temperature=0.3, allow=others(4)),
        ),
        scores,
    )


@pytest.mark.parametrize("number", [0, 1])
def test_one_image_or_none_has_no_others(number):
    scores = torch.ones(number, number, requires_grad=True)
    assert cross_consistency(scores, allow=others(number)) == 0
    loss = unevenness(scores, temperature=0.1, allow=others(number))
    assert loss == 0
    loss.backward()
    assert not scores.grad.any()


def test_a_row_without_others_does_not_count():
    scores = torch.rand(3, 4)
    allow = torch.ones(3, 4, dtype=torch.bool)
    allow[1] = False
    expected = unevenness(scores[[0, 2]], temperature=0.2, allow=allow[[0, 2]])
    torch.testing.assert_close(unevenness(scores, temperature=0.2, allow=allow), expected)

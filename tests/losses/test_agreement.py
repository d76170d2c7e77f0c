import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from contsemi.losses.agreement import agreement, invariance


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_value_and_gradient_equal_numpy():
    scores, reference = random(4, 5).requires_grad_(), random(4, 5, seed=1).requires_grad_()
    apart = agreement(scores, reference, temperature=0.3)
    apart.sum().backward()
    ours = log_softmax(scores.detach().numpy() / 0.3, axis=1)
    theirs = log_softmax(reference.detach().numpy() / 0.3, axis=1)
    difference = ours - theirs
    expected = (np.exp(ours) * difference).sum(1)
    np.testing.assert_allclose(apart.detach(), expected, rtol=1e-10)
    gradient = np.exp(ours) * (difference - expected[:, None]) / 0.3
    np.testing.assert_allclose(scores.grad, gradient, rtol=1e-8, atol=1e-12)
    assert reference.grad is None


def test_equal_sides_agree_and_others_do_not():
    scores = random(3, 6)
    assert agreement(scores, scores + 2, temperature=0.1).abs().max() < 1e-12
    assert (agreement(scores, scores.flip(1), temperature=0.1) > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_stays_finite(dtype):
    scores = torch.tensor([[1e4, -1e4, 0.0]], dtype=dtype, requires_grad=True)
    apart = agreement(scores, -scores.detach(), temperature=0.1)
    apart.sum().backward()
    assert apart.isfinite().all() and scores.grad.isfinite().all()
    assert apart.dtype == torch.float32


def test_invariance_is_the_mean_over_views_and_the_next():
    scores = random(3, 4, 5)
    expected = torch.stack([agreement(scores[v], scores[v - 1], temperature=0.2) for v in range(3)])
    torch.testing.assert_close(invariance(scores, temperature=0.2), expected.mean())
    counts = torch.zeros(3, 4, dtype=torch.bool)
    counts[1, 2] = True
    one = invariance(scores, temperature=0.2, counts=counts)
    torch.testing.assert_close(one, expected[1, 2])
    assert invariance(scores[:1], temperature=0.2).abs() < 1e-12
    assert invariance(scores, temperature=0.2, counts=counts & False) == 0

"""FixMatch's consistency against its official code, and the rules that came after it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.assign.sure import sure_class
from contsemi.losses.fairness import fairness
from contsemi.losses.pseudo import pseudo_cross_entropy

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"
FILES = [
    path
    for path in sorted(REFERENCE.glob("fixmatch_*.npz"))
    if "logits_weak" in np.load(path, allow_pickle=False)
]


def test_reference_files_are_there():
    assert len(FILES) >= 9


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_equals_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    exact = data["logits_weak"].dtype == np.float64
    rtol, atol = (1e-9, 1e-11) if exact else (1e-4, 1e-5)
    strong = torch.from_numpy(data["logits_strong"]).requires_grad_()
    classes, confidence, sure = sure_class(
        torch.from_numpy(data["logits_weak"]),
        threshold=float(data["threshold"]),
        temperature=float(data["pseudo_temperature"]),
    )
    assert np.array_equal(classes, data["pseudo_label"])
    assert np.array_equal(sure, data["mask"] > 0)
    np.testing.assert_allclose(confidence, data["max_prob"], rtol=rtol, atol=atol)
    loss = pseudo_cross_entropy(strong, classes, sure)
    (float(data["lambda_u"]) * loss).backward()
    np.testing.assert_allclose(loss.detach(), data["loss_u"], rtol=rtol, atol=atol)
    np.testing.assert_allclose(strong.grad, data["grad_strong"], rtol=rtol, atol=atol)


def test_two_images_of_which_one_is_sure():
    confident = torch.tensor([0.9647, 0.576]).logit()
    weak = torch.stack((confident, torch.zeros(2)), dim=1)
    classes, _, sure = sure_class(weak, threshold=0.95)
    assert sure.tolist() == [True, False]
    strong = torch.tensor([0.6653]).logit().repeat(2)
    loss = pseudo_cross_entropy(torch.stack((strong, torch.zeros(2)), dim=1), classes, sure)
    assert loss == pytest.approx(0.2038, abs=2e-4)


def test_nothing_sure_is_zero_with_zero_gradient():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = pseudo_cross_entropy(logits, torch.tensor([0, 1, 2]), torch.zeros(3))
    loss.backward()
    assert loss == 0 and not logits.grad.any()
    empty = torch.zeros(0, 4, requires_grad=True)
    loss = pseudo_cross_entropy(empty, torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    loss.backward()
    assert loss == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6))
def test_soft_targets_that_are_hard_are_the_same(seed, classes):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, classes, generator=draw)
    labels = torch.randint(classes, (5,), generator=draw)
    weights = torch.rand(5, generator=draw)
    soft = torch.eye(classes)[labels]
    torch.testing.assert_close(
        pseudo_cross_entropy(logits, soft, weights), pseudo_cross_entropy(logits, labels, weights)
    )


def by_hand(logits, counts, probs, shares):
    """FreeMatch's fairness with the chosen rows picked and counted one by one."""
    chosen = logits[counts].softmax(1)
    if not len(chosen):
        return torch.zeros(())
    share = torch.bincount(chosen.argmax(1), minlength=logits.shape[1]) / len(chosen)
    ours = torch.stack(
        [chosen[:, c].mean() / s if s else torch.zeros(()) for c, s in enumerate(share)]
    )
    wanted = torch.stack(
        [p / s if s else torch.zeros(()) for p, s in zip(probs, shares, strict=True)]
    )
    return (wanted / wanted.sum() * torch.log(ours / ours.sum() + 1e-12)).sum()


@pytest.mark.parametrize("kept", [0, 1, 3, 8])
def test_fairness_by_hand(kept):
    draw = torch.Generator().manual_seed(kept)
    logits = torch.randn(8, 4, generator=draw).mul(3).requires_grad_()
    counts = torch.arange(8) < kept
    probs, shares = torch.rand(2, 4, generator=draw)
    shares[2] = 0
    found = fairness(logits, counts, probs=probs, shares=shares)
    expected = by_hand(logits, counts, probs, shares)
    torch.testing.assert_close(found, expected)
    grad = torch.autograd.grad(found, logits)[0]
    assert grad.isfinite().all() and not grad[~counts].any()
    if kept:
        torch.testing.assert_close(grad, torch.autograd.grad(expected, logits)[0])

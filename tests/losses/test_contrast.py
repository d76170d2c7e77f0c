"""Soft contrast against NumPy, WCL's official code, and what must hold of any of it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from contsemi.losses.contrast import (
    contrast,
    cosines,
    first_contrast,
    paired_contrast,
    relation_contrast,
)

WCL = np.load(
    Path(__file__).parents[1] / "reference" / "objectives" / "wcl.npz", allow_pickle=False
)


def leaf(array):
    return torch.as_tensor(array).clone().requires_grad_()


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("margin", [0.0, 0.3, -0.5])
@pytest.mark.parametrize("masked", [False, True])
def test_value_and_gradient_equal_numpy(margin, masked):
    scores = leaf(random(6, 5))
    weights = random(6, 5, seed=1).softmax(1) * 3  # made to sum to 1
    allow = random(6, 5, seed=2) > -0.5 if masked else torch.ones(6, 5, dtype=torch.bool)
    allow[:, 0] = True
    loss = contrast(
        scores, weights, temperature=0.2, margin=margin, allow=allow if masked else None
    )
    loss.backward()
    share = np.where(allow, weights, 0)
    share = share / share.sum(1, keepdims=True)
    # The margin is in proportion to the weights that sum to one.
    logits = (scores.detach().numpy() - margin * share) / 0.2
    log_probs = log_softmax(np.where(allow, logits, -np.inf), axis=1)
    expected = -np.where(allow, share * np.where(allow, log_probs, 0), 0).sum(1).mean()
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-12)
    gradient = np.where(allow, np.exp(log_probs) - share, 0) / 0.2 / 6
    np.testing.assert_allclose(scores.grad, gradient, rtol=1e-9, atol=1e-13)


def test_one_positive_is_cross_entropy():
    scores, labels = random(4, 7), torch.tensor([0, 6, 3, 3])
    loss = contrast(scores, torch.eye(7)[labels].bool(), temperature=0.5)
    expected = torch.nn.functional.cross_entropy(scores / 0.5, labels)
    torch.testing.assert_close(loss, expected)


def test_a_margin_moves_the_positive_logit():
    scores, first = random(3, 4), torch.tensor([[1.0, 0, 0, 0]] * 3)
    moved = scores.clone()
    moved[:, 0] += 0.5
    loss = contrast(scores, first, temperature=0.2, margin=-0.5)
    torch.testing.assert_close(loss, contrast(moved, first, temperature=0.2))


def test_rows_without_a_positive_do_not_count():
    scores = leaf(random(3, 4))
    weights = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    allow = torch.ones(3, 4, dtype=torch.bool)
    allow[2, 1] = False  # its only positive
    loss = contrast(scores, weights, temperature=1.0, allow=allow)
    loss.backward()
    torch.testing.assert_close(loss, -scores[0].log_softmax(0)[0])
    assert not scores.grad[1:].any()
    nothing = leaf(random(2, 3))
    zero = contrast(nothing, torch.zeros(2, 3), temperature=1.0)
    zero.backward()
    assert zero == 0 and not nothing.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0])
def test_it_stays_finite(size, dtype):
    scores = torch.full((3, 4), size, dtype=dtype)
    scores[0, 0] = -size
    scores[1, 2] = -torch.inf
    scores.requires_grad_()
    weights = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]])
    loss = contrast(scores, weights, temperature=0.01)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite() and scores.grad.isfinite().all()


@pytest.mark.parametrize("setting", ["0", "1"])
def test_wcl_instances_equal_the_official_code(setting):
    at = {name[2:]: WCL[name] for name in WCL.files if name.startswith(f"{setting}_")}
    first, second = leaf(at["head1_view1"]), leaf(at["head1_view2"])
    loss = paired_contrast(first, second, temperature=float(at["temperature"]))
    loss.backward()
    np.testing.assert_allclose(loss.item(), at["instance_loss"], rtol=1e-6)
    np.testing.assert_allclose(first.grad, at["grad_head1_view1"], atol=1e-6)
    np.testing.assert_allclose(second.grad, at["grad_head1_view2"], atol=1e-6)


@pytest.mark.parametrize("setting", ["0", "1"])
def test_wcl_graph_loss_equals_the_official_code(setting):
    at = {name[2:]: WCL[name] for name in WCL.files if name.startswith(f"{setting}_")}
    first, second = leaf(at["head2_view1"]), leaf(at["head2_view2"])
    masks = [torch.from_numpy(at[f"weak_mask_view{v}"]) for v in (2, 1)]  # swapped
    options = {"temperature": float(at["temperature"])}
    loss = sum(
        relation_contrast(view, mask, **options) / 2
        for view, mask in zip((first, second), masks, strict=True)
    )
    loss.backward()
    np.testing.assert_allclose(loss.item(), at["graph_loss"], rtol=1e-5)
    np.testing.assert_allclose(first.grad, at["grad_head2_view1"], atol=1e-6)
    np.testing.assert_allclose(second.grad, at["grad_head2_view2"], atol=1e-6)


def test_images_not_to_be_pushed_apart_are_not_negatives():
    first, second = random(3, 4), random(3, 4, seed=1)
    allow = torch.ones(3, 3, dtype=torch.bool)
    allow[0, 1] = allow[1, 0] = False
    loss = paired_contrast(first, second, temperature=0.5, allow=allow)
    rows = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    scores = (rows @ rows.T / 0.5).numpy()
    expected = []
    for i in range(6):
        out = [j for j in range(6) if j != i and (allow[i % 3, j % 3] or j == (i + 3) % 6)]
        partner = scores[i, (i + 3) % 6]
        expected.append(np.log(np.exp(scores[i, out]).sum()) - partner)
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-10)


def test_hand_example():
    """Orthogonal images whose views agree, t = 1: log(e + 2) - 1, as FNC without any."""
    rows = torch.eye(2)
    loss = paired_contrast(rows, rows, temperature=1.0)
    assert math.isclose(loss, math.log(math.e + 2) - 1, rel_tol=1e-6)


def test_keys_carry_no_gradient_and_length_does_not_matter():
    rows = leaf(random(5, 3))
    relation = torch.ones(5, 5)
    relation_contrast(rows, relation, temperature=0.3).backward()
    # Through the anchor alone: perpendicular to it.
    assert (rows.grad * rows.detach()).sum(1).abs().max() < 1e-12
    long = relation_contrast(rows.detach() * 7, relation, temperature=0.3)
    torch.testing.assert_close(long, relation_contrast(rows.detach(), relation, temperature=0.3))
    assert cosines(rows, rows).abs().max() <= 1 + 1e-12


def test_first_contrast_is_cross_entropy_of_the_first():
    scores = random(2, 3, 4, 6)
    loss = first_contrast(scores, temperature=0.2)
    labels = torch.zeros(24, dtype=torch.int64)
    expected = torch.nn.functional.cross_entropy(scores.flatten(0, 2) / 0.2, labels)
    torch.testing.assert_close(loss, expected)
    counts = torch.zeros(2, 3, 4, dtype=torch.bool)
    counts[1, 2, 3] = True
    one = first_contrast(scores, temperature=0.2, counts=counts)
    torch.testing.assert_close(one, -(scores[1, 2, 3] / 0.2).log_softmax(0)[0])

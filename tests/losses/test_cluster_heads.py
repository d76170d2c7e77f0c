"""Limits of USL-T's losses; the official arrays are played through the label choice."""

import torch

from contsemi.losses.cluster_heads import (
    confident_loss,
    neighbour_agreement,
    sharpened_guess,
)


def test_large_clusters_are_held_back():
    logits, shares = torch.zeros(1, 2), torch.tensor([0.9, 0.1])
    guess = sharpened_guess(logits, shares, adjustment=1.0, temperature=1.0)
    torch.testing.assert_close(guess, torch.tensor([[0.1, 0.9]]))


def test_the_threshold_is_strict_and_none_sure_gives_zero_with_a_gradient_of_zero():
    logits = torch.zeros(2, 2, requires_grad=True)
    weak = torch.zeros(2, 2)  # both of probability one half exactly
    loss = confident_loss(logits, weak, threshold=0.5, balance=True)
    loss.backward()
    assert loss == 0 and torch.equal(logits.grad, torch.zeros(2, 2))
    assert confident_loss(logits, weak, threshold=0.49, balance=False) > 0


def test_rare_clusters_weigh_as_much_as_common_ones():
    logits = torch.zeros(4, 2)
    logits[3] = torch.tensor([0.0, -3.0])
    weak = torch.tensor([[9.0, 0.0]] * 3 + [[0.0, 9.0]])
    rows = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 0, 0, 1]), reduction="none")
    found = confident_loss(logits, weak, threshold=0.9, balance=True)
    torch.testing.assert_close(found, (rows[:3].mean() + rows[3]) / 2)


def test_an_empty_batch():
    none = torch.zeros(0, 3, requires_grad=True)
    loss = confident_loss(none, none, threshold=0.5, balance=True) + neighbour_agreement(none, none)
    assert loss == 0

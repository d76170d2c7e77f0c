"""USL-T's losses over several steps against the official arrays, and their limits."""

from pathlib import Path

import pytest
import torch

from contsemi.losses.cluster_heads import (
    confident_loss,
    moved_shares,
    neighbour_agreement,
    sharpened_guess,
)

FOLDER = Path(__file__).parents[1] / "reference" / "parts"
FILES = [path for path in sorted(FOLDER.glob("uslt_*.npz")) if "selection" not in path.stem]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step(path, official):
    data = official.load(path)
    one = {name: value.item() for name, value in data.items() if not value.dim()}
    for step in range(one["steps"]):
        strong = data["logits_strong"][step].requires_grad_(False).clone().requires_grad_()
        weak, neighbour = data["logits_weak"][step], data["logits_neighbour"][step]
        shares = data[f"prob_ema_{step}"]
        targets = sharpened_guess(
            neighbour,
            shares,
            adjustment=one["adjustment_weight"],
            temperature=one["sharpen_temperature"],
        )
        local = neighbour_agreement(strong, targets)
        official.close(local, data["loss_local"][step])
        sure = torch.stack(
            [
                confident_loss(
                    strong[head],
                    weak[head],
                    threshold=one["threshold"],
                    balance=bool(one["reweight"]),
                    divide_by_present=bool(one["reweight_renorm"]),
                    over_batch=bool(one["mean_outside_mask"]),
                )
                for head in range(one["heads"])
            ]
        )
        official.close(sure, data["loss_global"][step])
        loss = sure.sum() + one["local_weight"] * local.sum()
        official.close(loss, data["loss"][step])
        official.close(torch.autograd.grad(loss, strong)[0], data["grad_strong"][step])
        moved = moved_shares(shares, neighbour, momentum=one["ema_momentum"])
        official.close(moved, data[f"prob_ema_{step + 1}"])


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

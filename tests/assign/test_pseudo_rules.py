"""What is made of scores before they are targets: sharpening, alignment, thresholds, directions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.assign.align import aligned
from contsemi.assign.class_sums import class_directions
from contsemi.assign.near_classes import nearest_votes
from contsemi.assign.sharpen import guessed, sharpen
from contsemi.assign.thresholds import (
    adaptive_thresholds,
    flexible_thresholds,
    gaussian_weights,
)


def probs(seed, rows=5, classes=4):
    return torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed)).softmax(1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 1.0))
def test_sharpening_keeps_the_order_and_the_sum(seed, temperature):
    flat = probs(seed)
    sharp = sharpen(flat, temperature=temperature)
    torch.testing.assert_close(sharp.sum(1), torch.ones(5))
    assert torch.equal(sharp.argmax(1), flat.argmax(1))
    assert (sharp.amax(1) >= flat.amax(1) - 1e-6).all()
    power = flat ** (1 / temperature)
    torch.testing.assert_close(sharp, power / power.sum(1, keepdim=True), atol=1e-5, rtol=1e-4)


def test_sharpening_at_its_limits():
    sharp = sharpen(torch.tensor([[0.5, 0.3, 0.2]]), temperature=0.5)
    torch.testing.assert_close(sharp, torch.tensor([[0.6579, 0.2368, 0.1053]]), atol=5e-5, rtol=0)
    torch.testing.assert_close(sharpen(probs(0), temperature=1.0), probs(0))
    one = torch.tensor([[1.0, 0.0]])
    assert torch.equal(sharpen(one, temperature=0.1), one)


def test_guesses_are_of_each_image():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    found = guessed(logits, batch_size=2, temperature=0.5)
    for image in range(2):
        mean = logits[image::2].softmax(1).mean(0)
        torch.testing.assert_close(found[image], mean.square() / mean.square().sum())


def test_alignment_brings_the_mean_over():
    rows = probs(3, rows=1)
    target = torch.tensor([0.4, 0.3, 0.2, 0.1])
    torch.testing.assert_close(aligned(rows, mean=rows[0], target=target)[0], target)
    torch.testing.assert_close(aligned(rows, mean=target, target=target), rows)


def test_flexible_thresholds_by_hand():
    counts = torch.tensor([40, 10, 0])
    found = flexible_thresholds(counts, 100, threshold=0.95)
    expected = [0.95 * b / (2 - b) for b in (0.4, 0.1, 0.0)]
    torch.testing.assert_close(found, torch.tensor(expected))
    found = flexible_thresholds(counts, torch.tensor(100), threshold=0.95, warmup=False)
    torch.testing.assert_close(found, torch.tensor([0.95, 0.95 * 0.25 / 1.75, 0.0]))
    assert not flexible_thresholds(torch.zeros(3).long(), 5, threshold=0.95).any()


def test_adaptive_thresholds_never_pass_the_overall_one():
    means = probs(1, rows=1)[0]
    found = adaptive_thresholds(torch.tensor(0.7), means)
    assert found.max() == pytest.approx(0.7)
    assert torch.equal(found.argsort(), means.argsort())


def test_a_bell_below_the_mean():
    mean, variance = torch.tensor(0.6), torch.tensor(0.04)
    confidence = torch.tensor([0.9, 0.6, 0.5, 0.4])
    found = gaussian_weights(confidence, mean=mean, variance=variance)
    expected = [
        1,
        1,
        *(torch.exp(-((0.6 - p) ** 2) / (2 * torch.tensor(0.01))) for p in (0.5, 0.4)),
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_directions_of_classes():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [9.0, 9.0]])
    found, there = class_directions(rows, torch.tensor([0, 0, 1, -1]), 3)
    half = 0.5**0.5
    torch.testing.assert_close(found, torch.tensor([[half, half], [half, half], [0.0, 0.0]]))
    assert there.tolist() == [True, True, False]


def test_votes_tie_by_distance():
    rows = torch.tensor([[0.0], [0.4], [2.0]])
    scores = nearest_votes(torch.tensor([[0.3], [1.0]]), rows, torch.tensor([0, 1, 3]), 4, k=2)
    assert scores.argmax(1).tolist() == [1, 1]
    assert scores[:, 2].tolist() == [-torch.inf] * 2

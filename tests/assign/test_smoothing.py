"""Classes smoothed by stored rows, against loops over rows and classes in float64."""

import math

import pytest
import torch

from contsemi.assign.smoothing import comatch, nearest_mean, simmatch

N, M, C, D = 5, 7, 3, 4


@pytest.fixture
def given():
    draw = torch.Generator().manual_seed(3)

    def unit(count):
        rows = torch.randn(count, D, generator=draw, dtype=torch.float64)
        return torch.nn.functional.normalize(rows, dim=1)

    probs = torch.randn(N, C, generator=draw, dtype=torch.float64).softmax(1)
    classes = torch.randn(M, C, generator=draw, dtype=torch.float64).softmax(1)
    return probs, unit(N), unit(M), classes, torch.tensor([0, 1, 2, 2, 1, 0, 2])


def weights(row, bank, temperature):
    found = [math.exp(float(row @ other) / temperature) for other in bank]
    return [value / sum(found) for value in found]


def test_comatch_takes_a_share_of_what_the_bank_is(given):
    probs, rows, bank, classes, _ = given
    found = comatch(probs, rows, bank, classes, temperature=0.2, share=0.3)
    for n in range(N):
        near = weights(rows[n], bank, 0.2)
        for c in range(C):
            by_bank = sum(near[m] * float(classes[m, c]) for m in range(M))
            assert float(found[n, c]) == pytest.approx(0.7 * float(probs[n, c]) + 0.3 * by_bank)


def test_simmatch_sums_the_similarities_of_each_class(given):
    probs, rows, bank, _, labels = given
    found = simmatch(probs, rows, bank, labels, temperature=0.2, share=0.3)
    for n in range(N):
        near = weights(rows[n], bank, 0.2)
        for c in range(C):
            own = sum(near[m] for m in range(M) if labels[m] == c)
            assert float(found[n, c]) == pytest.approx(0.7 * float(probs[n, c]) + 0.3 * own)


def test_only_unsure_images_are_given_to_the_nearest_mean(given):
    probs, rows, bank, _, _ = given
    means = bank[:C].clone()
    means[1] = torch.nan
    threshold = float(probs.max(1).values.median())
    found = nearest_mean(probs, rows, means, threshold=threshold, temperature=0.1)
    for n in range(N):
        if float(probs[n].max()) >= threshold:
            assert torch.equal(found[n], probs[n])
            continue
        scores = [math.exp(float(rows[n] @ means[c]) / 0.1) if c != 1 else 0 for c in range(C)]
        assert found[n].tolist() == pytest.approx([score / sum(scores) for score in scores])
    none = nearest_mean(probs, rows, torch.full_like(means, torch.nan), threshold=1, temperature=1)
    assert torch.equal(none, probs)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_rows_stay_shares(given, share):
    probs, rows, bank, classes, labels = given
    for found in (
        comatch(probs, rows, bank, classes, temperature=0.1, share=share),
        simmatch(probs, rows, bank, labels, temperature=0.1, share=share),
    ):
        torch.testing.assert_close(found.sum(1), torch.ones(N, dtype=torch.float64))
        assert share or torch.equal(found, probs)

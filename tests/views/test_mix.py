"""Mixup and CutMix: which pixels come from whom, and the share that says so."""

import pytest
import torch

from contsemi.views.mix import mix


def pair(side=6, rows=5):
    ours = torch.arange(rows).float()[:, None, None, None].expand(rows, 3, side, side) + 1
    return ours.contiguous(), 100 * ours


@pytest.mark.parametrize("seed", range(30))
def test_the_share_is_that_of_the_pixels(seed):
    ours, theirs = pair()
    mixed, share = mix(ours, theirs, torch.Generator().manual_seed(seed))
    assert 0 <= share <= 1 and mixed.shape == ours.shape
    expected = share * ours + (1 - share) * theirs
    torch.testing.assert_close(mixed.mean((1, 2, 3)), expected.mean((1, 2, 3)))


def test_both_kinds_come_and_a_seed_repeats():
    ours, theirs = pair()
    draws = [mix(ours, theirs, torch.Generator().manual_seed(i))[0] for i in range(40)]
    uniform = [bool((m == m[:, :1, :1, :1]).all()) for m in draws]
    assert 5 < sum(uniform) < 35  # blended images are uniform, pasted ones mostly are not
    again = mix(ours, theirs, torch.Generator().manual_seed(3))[0]
    assert torch.equal(again, draws[3])


def test_the_inputs_stay_as_they_are():
    ours, theirs = pair()
    before = ours.clone(), theirs.clone()
    for seed in range(10):
        mix(ours, theirs, torch.Generator().manual_seed(seed))
    assert torch.equal(ours, before[0]) and torch.equal(theirs, before[1])


def test_an_image_mixed_with_itself_is_itself():
    image, _ = pair(rows=1)
    mixed, _ = mix(image, image, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed, image)


def shares(**how):
    ours, theirs = pair(side=2, rows=1)
    draws = [torch.Generator().manual_seed(seed) for seed in range(400)]
    return torch.tensor([mix(ours, theirs, draw, cut=False, **how)[1] for draw in draws])


@pytest.mark.parametrize("alpha", [0.2, 0.75, 1.0, 4.0])
def test_shares_are_of_the_beta_distribution(alpha):
    found = shares(alpha=alpha)
    assert found.mean() == pytest.approx(0.5, abs=0.06)
    assert found.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.25)


def test_the_larger_share_may_be_the_image_s_own():
    whole, larger = shares(alpha=0.75), shares(alpha=0.75, larger_first=True)
    torch.testing.assert_close(larger, whole.maximum(1 - whole))

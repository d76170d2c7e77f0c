from itertools import permutations

import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms import ColorJitter
from torchvision.transforms import functional as F

from contsemi.config import Jitter as Ranges
from contsemi.views.colour import Greyscale, Jitter, blend_weights, draw_jitter, luma
from contsemi.views.draws import Draws

HUE = 3
OPERATIONS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
ORDERS = tuple(permutations(range(4)))
RANGES = Ranges(probability=0.8, brightness=0.4, contrast=0.3, saturation=0.9, hue=0.1)


def jitter_of(orders, factors, turns, chosen) -> Jitter:
    kind = torch.tensor([[k for k in order if k != HUE] for order in orders])
    return Jitter(
        chosen=chosen,
        blends=blend_weights(kind, factors.gather(1, kind)),
        turns=turns,
        hue_place=torch.tensor([order.index(HUE) for order in orders]),
        hue=True,
    )


@pytest.fixture
def case(photographs, generator):
    """48 images, every order twice, every third left alone, and what torchvision makes of it."""
    images = photographs.repeat(4, 1, 1, 1).float() / 255
    orders = [ORDERS[k] for k in torch.randperm(48, generator=generator) % 24]
    factors = torch.rand((48, 3), generator=generator) * 1.6 + 0.2
    turns = torch.rand(48, generator=generator) - 0.5
    chosen = torch.arange(48) % 3 != 0
    expected = images.clone()
    for row in chosen.nonzero()[:, 0].tolist():
        values = [*factors[row].tolist(), turns[row].item()]
        for k in orders[row]:
            expected[row] = OPERATIONS[k](expected[row], values[k])
    return images, jitter_of(orders, factors, turns, chosen), expected


def test_jitter_equals_torchvision(case):
    images, jitter, expected = case
    result = jitter.apply(images.clone())
    # a hue is ill-conditioned where the colour is nearly grey, so the bound is not that of floats
    torch.testing.assert_close(result, expected, atol=2e-5, rtol=0)
    assert torch.equal(result[~jitter.chosen], images[~jitter.chosen])


def test_all_rows_at_once_equals_sorted_spans(case):
    images, jitter, _ = case
    stage = torch.where(jitter.chosen, jitter.hue_place, -1)
    everywhere = jitter._everywhere(images.clone(), stage)
    torch.testing.assert_close(everywhere, jitter.apply(images.clone()), atol=2e-6, rtol=0)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows(case, rows):
    images, jitter, expected = case
    result = jitter.rows(slice(1, 1 + rows)).apply(images[1 : 1 + rows].clone())
    torch.testing.assert_close(result, expected[1 : 1 + rows], atol=2e-5, rtol=0)


def test_nothing_chosen_changes_nothing(case):
    images, jitter, _ = case
    alone = jitter.rows(torch.arange(0, 48, 3))
    assert torch.equal(alone.apply(images[::3].clone()), images[::3])


def test_distributed_as_torchvision(generator):
    count = 6000
    drawn = draw_jitter(Draws(generator, count), RANGES)
    theirs = ColorJitter(RANGES.brightness, RANGES.contrast, RANGES.saturation, RANGES.hue)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        samples = [
            ColorJitter.get_params(
                theirs.brightness, theirs.contrast, theirs.saturation, theirs.hue
            )
            for _ in range(count)
        ]
    contrast = drawn.blends[:, :, 1].ne(0)
    saturation = drawn.blends[:, :, 2].ne(0)
    assert (contrast.sum(1) == 1).all()
    assert (saturation.sum(1) == 1).all()
    places = (~contrast & ~saturation, contrast, saturation)
    for k, place in enumerate(places, start=1):
        ours = drawn.blends[:, :, 0][place]
        assert ks_2samp(ours, [sample[k] for sample in samples]).pvalue > 1e-3
    assert ks_2samp(drawn.turns, [sample[4] for sample in samples]).pvalue > 1e-3
    assert abs(drawn.chosen.float().mean() - 0.8) < 0.02
    order = drawn.hue_place * 9 + contrast.byte().argmax(1) * 3 + saturation.byte().argmax(1)
    seen, often = order.unique(return_counts=True)
    assert len(seen) == 24
    assert often.min() > 0.75 * count / 24
    assert often.max() < 1.25 * count / 24


def test_no_hue_in_the_policy_turns_none(photographs, generator):
    ranges = RANGES.model_copy(update={"hue": 0.0, "saturation": 0.0, "probability": 1.0})
    grey = photographs[:, :1].expand(-1, 3, -1, -1).float() / 255
    drawn = draw_jitter(Draws(generator, len(grey)), ranges)
    result = drawn.apply(grey.clone())
    assert torch.equal(result[:, 0], result[:, 2])
    assert not drawn.hue
    assert (result - grey).abs().amax() > 0.01


def test_greyscale_equals_torchvision(photographs):
    images = photographs.float() / 255
    chosen = torch.arange(len(images)) % 2 == 0
    result = Greyscale(chosen=chosen).apply(images.clone())
    expected = F.rgb_to_grayscale(images, num_output_channels=3)
    torch.testing.assert_close(result[chosen], expected[chosen], atol=1e-6, rtol=0)
    assert torch.equal(result[~chosen], images[~chosen])
    assert luma(images).shape == (len(images), 1, 32, 32)

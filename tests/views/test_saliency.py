"""Masks by the spectral residual, and Otsu's threshold against scikit-image's definition."""

import numpy as np
import pytest
import torch

from contsemi.views.saliency import otsu, spectral_masks, spectral_saliency, usable_masks


def odd_one(place=(10, 18), side=32):
    """A bright square among waves that repeat over the whole image."""
    wave = torch.arange(side) % 4 * 16
    images = (wave[:, None] + wave).expand(1, 3, -1, -1).clone().byte()
    rows, columns = slice(place[0], place[0] + 6), slice(place[1], place[1] + 6)
    images[..., rows, columns] = 250
    return images, rows, columns


def by_hand(image):
    """Hou and Zhang's five lines in numpy, without the blur, whose place Gaussian tests check."""
    spectrum = np.fft.fft2(image)
    log = np.log(np.abs(spectrum).clip(1e-3))
    mean = sum(np.roll(log, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    return np.abs(np.fft.ifft2(np.exp(log - mean + 1j * np.angle(spectrum)))) ** 2


@pytest.mark.parametrize("mirrored", [False, True])
def test_saliency_is_that_of_the_paper(mirrored):
    image = torch.randint(0, 256, (1, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    image = image.expand(1, 3, 16, 16).byte()
    found = spectral_saliency(image, blur_share=0.0, mirrored=mirrored)[0]
    image = image[0, 0].double().numpy() / 255
    expected = by_hand(np.pad(image, (0, 16), "symmetric") if mirrored else image)[:16, :16]
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_what_is_unlike_the_rest_is_foreground():
    images, rows, columns = odd_one()
    assert (spectral_masks(images)[0, rows, columns] == 255).all()
    found = spectral_saliency(images)[0]
    assert found[rows, columns].mean() > 1.4 * found.mean()


def test_a_border_is_no_edge(photographs):
    """What a spectrum takes to repeat jumps at the border; mirrored it does not."""
    of_border = [
        float(torch.cat([found[:, :2], found[:, -2:]]).mean() / found.mean())
        for found in (spectral_saliency(photographs, mirrored=flag) for flag in (False, True))
    ]
    assert of_border[0] > 1.3 * of_border[1]


def test_a_plain_image_has_no_foreground_and_is_left_alone():
    plain = torch.full((2, 3, 8, 8), 77, dtype=torch.uint8)
    masks = spectral_masks(plain)
    assert not masks.any()
    assert (usable_masks(masks) == 255).all()
    assert spectral_masks(plain[:0]).shape == (0, 8, 8)


def test_masks_outside_the_shares_become_whole():
    masks = torch.zeros(3, 10, 10, dtype=torch.uint8)
    masks[0, :3] = 255
    masks[1, 0, :4] = 255
    masks[2, :, :] = 255
    found = usable_masks(masks, least=0.05, most=0.9)
    assert torch.equal(found[0], masks[0]) and (found[1:] == 255).all()


def test_otsu_divides_two_groups_and_is_best_of_all_levels():
    draw = torch.Generator().manual_seed(0)
    values = torch.cat(
        [0.2 + 0.1 * torch.rand(50, generator=draw), 0.7 + 0.2 * torch.rand(50, generator=draw)]
    )
    values = torch.stack([values, torch.rand(100, generator=draw)]).view(2, 10, 10)
    found = otsu(values)
    assert 0.29 < found[0] < 0.71
    for each, threshold in zip(values, found, strict=True):
        levels = (each.flatten() * 256).floor()

        def variance(level, levels=levels):
            low, high = levels[levels <= level], levels[levels > level]
            if not len(low) or not len(high):
                return 0.0
            return float(len(low) * len(high) * (low.mean() - high.mean()) ** 2)

        best = max(range(256), key=variance)
        assert variance(best) == variance(round(float(threshold) * 256) - 1)
    assert otsu(torch.full((1, 4, 4), 0.5)) == 1

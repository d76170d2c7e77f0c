import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from scipy.ndimage import correlate1d
from scipy.special import ive

from contsemi.views.blur import Blur, blur, draw_blur
from contsemi.views.draws import Draws


@pytest.mark.parametrize("side", [1, 3, 18, 32])
def test_equals_the_bessel_kernel(photographs, side):
    images = photographs[..., :side, :side].float().contiguous() / 255
    sigma = torch.linspace(0.05, 2.0, len(images))
    result = blur(images, sigma)
    for image, width, row in zip(images.double().numpy(), sigma.tolist(), result, strict=True):
        kernel = ive(np.abs(np.arange(-30, 31)), width**2)
        once = correlate1d(image, kernel, axis=1, mode="reflect")
        expected = correlate1d(once, kernel, axis=2, mode="reflect")
        torch.testing.assert_close(row.double(), torch.from_numpy(expected), atol=3e-6, rtol=0)


def test_large_images(generator):
    images = torch.rand((2, 3, 224, 224), generator=generator)
    kernel = ive(np.abs(np.arange(-30, 31)), 1.5**2)
    once = correlate1d(images.double().numpy(), kernel, axis=2, mode="reflect")
    expected = correlate1d(once, kernel, axis=3, mode="reflect")
    result = blur(images, torch.tensor([1.5, 1.5])).double()
    torch.testing.assert_close(result, torch.from_numpy(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("noise", "largest", "average"), [(False, 6, 1.2), (True, 15, 4)])
def test_close_to_pil(generator, sigma, noise, largest, average):
    """PIL runs three box filters instead of a Gaussian and rounds; white noise is the worst."""
    images = torch.rand((4, 3, 64 if noise else 9, 64 if noise else 9), generator=generator)
    images = torch.nn.functional.interpolate(images, size=64, mode="bilinear")
    images = (images * 255).round().byte()
    result = blur(images.float(), torch.full((4,), sigma))
    for image, row in zip(images, result, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.array(picture.filter(ImageFilter.GaussianBlur(sigma))).astype(np.float32)
        difference = np.abs(expected - row.permute(1, 2, 0).numpy())
        assert difference.max() <= largest
        assert difference.mean() <= average


def test_constant_images_stay(photographs):
    flat = photographs[5:6].float() / 255
    torch.testing.assert_close(blur(flat, torch.tensor([1.7])), flat, atol=2e-6, rtol=0)


def test_only_chosen_rows_change(photographs, generator):
    images = photographs.float() / 255
    drawn = draw_blur(Draws(generator, len(images)), 0.5, (0.5, 2.0))
    assert drawn.sigma.min() >= 0.5
    assert drawn.sigma.max() <= 2.0
    result = drawn.apply(images.clone())
    assert 0 < drawn.chosen.sum() < len(images)
    assert torch.equal(result[~drawn.chosen], images[~drawn.chosen])
    expected = blur(images, drawn.sigma)
    torch.testing.assert_close(result[drawn.chosen], expected[drawn.chosen], atol=1e-6, rtol=0)
    none = Blur(chosen=torch.zeros_like(drawn.chosen), sigma=drawn.sigma)
    assert torch.equal(none.apply(images.clone()), images)

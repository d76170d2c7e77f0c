import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import functional as F

from contsemi.views.tone import Equalise, Solarise, equalise, solarise


def as_bytes(images: torch.Tensor) -> torch.Tensor:
    return (images * 255).round().byte()


@pytest.mark.parametrize("side", [1, 7, 18, 32])
def test_equalise_is_torchvisions_bit_for_bit(photographs, side):
    images = photographs[..., :side, :side]
    result = equalise(images.float() / 255)
    assert torch.equal(as_bytes(result), F.equalize(images))
    assert torch.equal(result, F.equalize(images).float() / 255)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 256))
def test_equalise_with_few_levels(seed, levels):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, levels, (2, 3, 24, 24), generator=generator, dtype=torch.uint8)
    assert torch.equal(as_bytes(equalise(images.float() / 255)), F.equalize(images))


def test_equalise_equals_pil(photographs):
    for image, result in zip(
        photographs, as_bytes(equalise(photographs.float() / 255)), strict=True
    ):
        picture = ImageOps.equalize(Image.fromarray(image.permute(1, 2, 0).numpy()))
        assert np.array_equal(np.array(picture), result.permute(1, 2, 0).numpy())


def test_solarise_equals_torchvision(photographs):
    images = photographs.float() / 255
    threshold = torch.linspace(0, 1, len(images))
    threshold[2] = images[2, 0, 0, 0]  # a value equal to the threshold is inverted
    result = solarise(images, threshold)
    for image, limit, row in zip(images, threshold.tolist(), result, strict=True):
        torch.testing.assert_close(row, F.solarize(image, limit), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_only_chosen_rows_change(photographs, rows):
    images = photographs[:rows].float() / 255
    chosen = torch.arange(rows) % 4 == 0
    for step, function in (
        (Equalise(chosen=chosen), equalise),
        (
            Solarise(chosen=chosen, threshold=torch.full((rows,), 0.5)),
            lambda x: solarise(x, torch.full((len(x),), 0.5)),
        ),
    ):
        result = step.apply(images.clone())
        assert torch.equal(result[~chosen], images[~chosen])
        assert torch.equal(result[chosen], function(images[chosen]))

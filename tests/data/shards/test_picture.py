"""Decoded and cut images against Pillow and torchvision."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from contsemi.data.shards.picture import crop, looked_at, pixels, square
from contsemi.data.sources.decode import Unreadable, decode


def picture(width=61, height=44, mode="RGB"):
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def saved(image, form="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def by_pillow(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize(("mode", "form"), [("RGB", "JPEG"), ("L", "JPEG"), ("RGB", "PNG")])
def test_pixels_are_those_of_pillow(mode, form):
    content = saved(picture(mode=mode), form)
    height, width, fast = looked_at(content)
    assert (height, width, fast) == (44, 61, form == "JPEG")
    found = pixels(content, fast=fast).numpy().astype(int)
    assert np.abs(found - by_pillow(content)).max() <= 2  # two decoders of the same format


def test_the_orientation_of_a_camera_is_applied():
    turned = Image.Exif()
    turned[0x0112] = 6
    content = saved(picture(width=60), exif=turned)
    assert looked_at(content) == (60, 44, True)
    upright = decode(content, 24)
    found = square(pixels(content, fast=True), 24).numpy().astype(int)
    inside = (slice(None), slice(1, -1), slice(1, -1))  # the edge sees what is beyond it, or not
    assert np.abs(found - upright)[inside].max() <= 2


def test_a_crop_is_torchvisions():
    image = torch.from_numpy(np.asarray(picture()).transpose(2, 0, 1).copy())
    for box, size in (((3, 5, 30, 40), 16), ((0, 0, 44, 61), 32), ((10, 11, 12, 9), 24)):
        expected = v2.functional.resized_crop(image, *box, [size, size], antialias=True)
        # Where a processor lacks AVX2 the one rounds once more than the other.
        most = int(torch.backends.cpu.get_cpu_capability() == "DEFAULT")
        assert (crop(image, box, size).int() - expected.int()).abs().max() <= most
        top, left, height, width = box
        part = Image.fromarray(image.permute(1, 2, 0).numpy())
        part = part.crop((left, top, left + width, top + height))
        theirs = part.resize((size, size), Image.Resampling.BILINEAR)
        found = crop(image, box, size).permute(1, 2, 0).numpy().astype(int)
        assert np.abs(found - np.asarray(theirs)).max() <= 2


def test_the_square_and_its_middle_are_the_published_test_view():
    """Resized to 256 of the shorter side, cropped to the middle 224: here 32 and 28."""
    image = torch.from_numpy(np.asarray(picture(80, 64)).transpose(2, 0, 1).copy())
    published = v2.Compose([v2.Resize(32, antialias=True), v2.CenterCrop(28)])(image)
    ours = square(image, 32)[:, 2:30, 2:30]
    assert (published.int() - ours.int()).abs().max() <= 2


@pytest.mark.parametrize("cut", [3, 200, -120])
def test_a_damaged_image_is_refused(cut):
    with pytest.raises(Unreadable):
        looked_at(saved(picture())[:cut])

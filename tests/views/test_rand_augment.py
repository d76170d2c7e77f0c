"""Strong views: every operation against torchvision or PIL, and what is drawn."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from contsemi.views.draws import Draws
from contsemi.views.erase import Erase
from contsemi.views.plan import draw_plan
from contsemi.views.rand_augment import (
    NAMES,
    OPERATIONS,
    RandAugment,
    draw_cutout,
    draw_rand_augment,
)
from contsemi.views.reflected import Reflected, draw_reflected

ROUNDING = 1.01 / 255  # torchvision rounds down to bytes, ours stay floats
NEAREST = InterpolationMode.NEAREST


def done(name, images, strength):
    rows = len(images)
    kinds = torch.full((rows, 1), NAMES.index(name))
    return RandAugment(kinds, torch.full((rows, 1), float(strength))).apply(images.clone())


COLOURS = {
    "autocontrast": lambda x, _: F.autocontrast(x),
    "equalise": lambda x, _: F.equalize(x),
    "brightness": F.adjust_brightness,
    "colour": F.adjust_saturation,
    "contrast": F.adjust_contrast,
    "sharpness": F.adjust_sharpness,
    "posterise": lambda x, s: F.posterize(x, int(s)),
    "solarise": lambda x, s: F.solarize(x, s * 255),
    "identity": lambda x, _: x,
}


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("at", [0.0, 0.3, 1.0])
def test_colours_equal_torchvision(photographs, name, at):
    low, high = OPERATIONS[name]
    strength = low + (high - low) * at
    if name == "posterise":
        strength = round(strength)
    found = done(name, photographs.float() / 255, strength)
    expected = torch.stack([COLOURS[name](image, strength) for image in photographs])
    if name in ("contrast", "colour", "sharpness"):  # there the other image is rounded as well
        torch.testing.assert_close(found, expected / 255.0, atol=2 * ROUNDING, rtol=0)
    else:
        torch.testing.assert_close(found, expected / 255.0, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("degrees", [-30.0, -7.0, 12.0, 30.0])
def test_rotation_equals_torchvision(photographs, degrees):
    images = photographs.float() / 255
    found = done("rotate", images, degrees)
    expected = F.rotate(images, degrees, NEAREST)
    same = (found == expected).float().mean()
    assert same > 0.99  # a sample half way between two pixels may fall to either side


@pytest.mark.parametrize("share", [-0.29, -0.11, 0.21, 0.27])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_shears_and_translations_equal_pil(photographs, axis, share):
    images = photographs.float() / 255
    side = images.shape[-1]
    pixels = int(share * side)
    across = {"x": (1, 0, pixels, 0, 1, 0), "y": (1, 0, 0, 0, 1, pixels)}[axis]
    sheared = {"x": (1, share, 0, 0, 1, 0), "y": (1, 0, 0, share, 1, 0)}[axis]
    for name, matrix, least in (("translate", across, 1.0), ("shear", sheared, 0.97)):
        found = done(f"{name}_{axis}", images, share)
        for image, row in zip(photographs, found, strict=True):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            expected = np.array(picture.transform((side, side), Image.Transform.AFFINE, matrix))
            same = (row.mul(255).round().permute(1, 2, 0).numpy() == expected).mean()
            assert same >= least


def test_rows_are_done_one_by_one_and_in_order(photographs):
    images = photographs.float() / 255
    drawn = draw_rand_augment(
        Draws(torch.Generator().manual_seed(1), len(images)), operations=3, probability=1.0
    )
    whole = drawn.apply(images.clone())
    for i in range(len(images)):
        one = drawn.rows(slice(i, i + 1)).apply(images[i : i + 1].clone())
        torch.testing.assert_close(whole[i : i + 1], one, atol=1e-6, rtol=0)
        step = images[i : i + 1]
        for kind, strength in zip(drawn.kinds[i], drawn.strength[i], strict=True):
            step = done(NAMES[kind], step, strength)
        torch.testing.assert_close(step, one, atol=1e-6, rtol=0)


def test_what_is_drawn(generator):
    drawn = draw_rand_augment(Draws(generator, 20000), operations=2, probability=0.5)
    counts = torch.bincount(drawn.kinds.flatten(), minlength=len(NAMES)) / drawn.kinds.numel()
    each = 0.5 / len(NAMES)
    expected = torch.full((len(NAMES),), each)
    expected[0] += 0.5
    torch.testing.assert_close(counts, expected, atol=0.005, rtol=0)
    for place, (low, high) in enumerate(OPERATIONS.values()):
        strength = drawn.strength[drawn.kinds == place]
        assert low <= strength.min() and strength.max() <= high
        if high > low:
            assert (strength.max() - strength.min()) > 0.95 * (high - low)
    bits = drawn.strength[drawn.kinds == NAMES.index("posterise")]
    share = torch.stack([(bits == b).float().mean() for b in (4, 5, 6, 7, 8)])
    torch.testing.assert_close(share, torch.full((5,), 0.2), atol=0.04, rtol=0)


def test_no_probability_is_identity(photographs, generator):
    images = photographs.float() / 255
    drawn = draw_rand_augment(Draws(generator, len(images)), operations=2, probability=0.0)
    assert torch.equal(drawn.apply(images.clone()), images)


def test_cutout_greys_one_square(photographs, generator):
    images = photographs.float().div(255).clamp(max=0.4)
    drawn = draw_cutout(Draws(generator, len(images)), 32, 0.5)
    made = drawn.apply(images.clone())
    grey = (made == 0.5).all(dim=1)
    assert torch.equal(made[~grey[:, None].expand_as(made)], images[~grey[:, None].expand_as(made)])
    for each in grey:
        rows, columns = each.any(1).sum(), each.any(0).sum()
        assert each.sum() == rows * columns
        assert min(rows, columns) >= 8 and max(rows, columns) <= 16


def test_cutout_of_nothing_is_identity(photographs, generator):
    images = photographs.float() / 255
    assert torch.equal(draw_cutout(Draws(generator, 12), 32, 0.0).apply(images.clone()), images)


def test_reflection_equals_torchvisions_padding(photographs):
    images = photographs.float() / 255
    shift = torch.stack((torch.arange(12) % 9 - 4, torch.arange(12) % 5 - 2), dim=1)
    found = Reflected(shift).apply(images)
    for image, (down, right), row in zip(images, shift.tolist(), found, strict=True):
        padded = F.pad(image, [4], padding_mode="reflect")
        assert torch.equal(row, padded[:, 4 + down : 36 + down, 4 + right : 36 + right])


def test_reflection_is_drawn_evenly(generator):
    shift = draw_reflected(Draws(generator, 9000), 32, 0.125).shift
    counts = torch.bincount(shift.flatten() + 4, minlength=9) / shift.numel()
    torch.testing.assert_close(counts, torch.full((9,), 1 / 9), atol=0.01, rtol=0)


def test_a_policy_has_them_in_the_order_of_the_paper(policy):
    crop = policy(
        "cifar",
        reflect=0.125,
        rand_augment={"operations": 2, "probability": 0.5},
        cutout=0.5,
        jitter={"probability": 0.0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0},
        solarise=0.0,
        equalise=0.0,
    ).policies["large"]
    plan = draw_plan(crop, Draws(torch.Generator().manual_seed(0), 4), 32, [0.5] * 3)
    assert [type(step) for step in plan.steps] == [Reflected, RandAugment, Erase]

"""Backgrounds: what must stay bit for bit, what must go, and where donors come from."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contsemi.views.background import (
    Background,
    Donors,
    composite,
    draw_background,
    free_rectangles,
    swapped,
    tiled,
)
from contsemi.views.draws import Draws
from contsemi.views.geometry import Boxes, draw_boxes
from contsemi.views.plan import draw_plan


def masked(images, mask):
    """Float images with their mask as the fourth channel."""
    return torch.cat([images, mask.expand(len(images), 1, -1, -1)], dim=1)


def drawn(number, probability=1.0, donors=None, least=0.0, seed=0):
    draws = Draws(torch.Generator().manual_seed(seed), number)
    return draw_background(draws, probability, least=least, donors=donors)


@pytest.fixture
def images(photographs):
    return photographs.float() / 255


@pytest.fixture
def donors(photographs):
    masks = torch.zeros(12, 32, 32, dtype=torch.uint8)
    masks[:, 8:24, 8:24] = 255
    return Donors(photographs, masks)


@pytest.mark.parametrize("with_donors", [False, True])
def test_all_foreground_is_the_image(images, donors, with_donors):
    step = drawn(12, donors=donors if with_donors else None)
    assert torch.equal(step.apply(masked(images, torch.ones(32, 32))), images)


def test_no_foreground_is_plain_grey_of_any_level(images):
    found = drawn(12).apply(masked(images, torch.zeros(32, 32))).flatten(1)
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert len(found[:, 0].unique()) == 12


def test_the_foreground_is_kept_bit_for_bit(images, donors):
    mask = torch.zeros(32, 32)
    mask[4:20, 6:9] = 1
    for step in (drawn(12), drawn(12, donors=donors)):
        found = step.apply(masked(images, mask))
        inside = mask.bool().expand_as(images)
        assert torch.equal(found[inside], images[inside])
        assert (found[~inside] != images[~inside]).float().mean() > 0.9


@pytest.mark.parametrize("with_donors", [False, True])
def test_probability_0_changes_nothing_and_draws_as_much(images, donors, with_donors):
    given = donors if with_donors else None
    draws = [Draws(torch.Generator().manual_seed(0), 12) for _ in range(2)]
    step = draw_background(draws[0], 0.0, least=0.0, donors=given)
    draw_background(draws[1], 1.0, least=0.0, donors=None)
    assert torch.equal(step.apply(masked(images, torch.zeros(32, 32))), images)
    assert torch.equal(*(each.generator.get_state() for each in draws))


def test_views_with_too_little_foreground_are_left(images):
    mask = torch.zeros(12, 1, 32, 32)
    mask[6:, :, :16] = 1
    found = drawn(12, least=0.3).apply(torch.cat([images, mask], dim=1))
    assert torch.equal(found[:6], images[:6]) and (found[6:] != images[6:]).any()


def test_backgrounds_come_from_donors(images, donors):
    step = drawn(12, donors=donors)
    found = step.apply(masked(images, torch.zeros(32, 32)))
    assert torch.equal(found, donors.backgrounds[step.donor].float() / 255)
    smaller = step.apply(masked(images[..., :16, :16], torch.zeros(16, 16)))
    assert smaller.shape == (12, 3, 16, 16)
    assert len(step.donor.unique()) > 4


def test_donors_have_some_background(photographs):
    masks = torch.full((12, 32, 32), 255, dtype=torch.uint8)
    masks[3:5, :, :10] = 0
    assert len(Donors(photographs, masks)) == 2
    nobody = Donors(photographs, masks[:1].expand(12, -1, -1))
    images = photographs.float() / 255
    found = drawn(12, donors=nobody).apply(masked(images, torch.zeros(32, 32)))
    assert len(nobody) == 0 and torch.equal(found, images)


@given(st.integers(0, 2**20), st.integers(1, 6), st.floats(0, 1))
def test_the_free_rectangle_is_the_largest(seed, side, share):
    draw = torch.Generator().manual_seed(seed)
    masks = (torch.rand(3, side, side, generator=draw) < share).byte() * 255
    start, length = free_rectangles(masks)
    for mask, (top, left), (height, width) in zip(
        masks, start.tolist(), length.tolist(), strict=True
    ):
        assert not mask[top : top + height, left : left + width].any()
        largest = 0
        for y in range(side):
            for x in range(side):
                for below in range(y + 1, side + 1):
                    for right in range(x + 1, side + 1):
                        if not mask[y:below, x:right].any():
                            largest = max(largest, (below - y) * (right - x))
        assert height * width == largest


def test_a_rectangle_is_repeated_over_the_image():
    image = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6).expand(1, 3, 6, 6)
    mask = torch.full((1, 6, 6), 255, dtype=torch.uint8)
    mask[0, 1:3, 2:5] = 0
    found = tiled(image, mask)[0, 0]
    assert torch.equal(found, image[0, 0, 1:3, 2:5].repeat(3, 2))


def test_swaps_put_another_foreground_on_the_own_background(images):
    mask = torch.zeros(12, 1, 32, 32)
    mask[:, :, 10:20, 10:20] = 1
    partner = torch.arange(12).roll(1)
    found = composite(images[partner], mask[partner], images)
    assert torch.equal(found[:, :, 10:20, 10:20], images[partner][:, :, 10:20, 10:20])
    assert torch.equal(found[:, :, :10], images[:, :, :10])


def test_mask_and_image_are_cropped_alike(photographs):
    mask = photographs[:, :1]  # a "mask" that is one of the channels must come out as that one
    both = torch.cat([photographs, mask], dim=1)
    draws = Draws(torch.Generator().manual_seed(0), 12)
    boxes = draw_boxes(draws, 32, scale=(0.2, 1.0), ratio=(0.75, 1.33), flip=0.5)
    assert isinstance(boxes, Boxes)
    found = boxes.crop(both, 24)
    torch.testing.assert_close(found[:, 3], found[:, 0], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[:, :3], boxes.crop(photographs, 24), rtol=0, atol=1e-6)


def test_rows_and_joins_keep_the_donors(donors):
    step = drawn(12, donors=donors)
    part = step.rows(slice(3, 5))
    assert isinstance(part, Background) and part.donors is donors
    assert torch.equal(part.followed_by(step.rows(slice(0, 1))).donor, step.donor[[3, 4, 0]])


def plan_of(policy, background, donors=None, seed=0):
    how = "random" if background else "none"
    update = {"background": how, "background_probability": background, "background_least": 0.0}
    crop = policy("cifar").policies["large"].model_copy(update=update)
    draws = Draws(torch.Generator().manual_seed(seed), 12)
    return draw_plan(crop, draws, 32, [0.5] * 3, donors=donors)


def test_a_plan_is_the_same_but_for_the_background(policy, photographs, donors):
    """All else is drawn as without it, and the mask is moved by the crop and by nothing else."""
    plain, changed = plan_of(policy, 0.0), plan_of(policy, 1.0, donors)
    assert plain.background is None
    whole = torch.full((12, 1, 32, 32), 255, dtype=torch.uint8)
    both = torch.cat([photographs, whole], dim=1)
    expected = plain.apply(photographs)
    assert torch.equal(plain.apply(both), expected)
    torch.testing.assert_close(changed.apply(both), expected)
    whole[:, :, 10:20] = 0
    found = changed.apply(torch.cat([photographs, whole], dim=1))
    assert found.shape == expected.shape and not torch.allclose(found, expected)


def test_parts_of_a_plan_keep_their_background(policy, photographs, donors):
    plan = plan_of(policy, 0.7, donors)
    images = torch.cat([photographs, photographs[:, :1]], dim=1)
    expected = plan.apply(images)
    halves = [slice(0, 5), slice(5, 12)]
    parts = [plan.rows(half) for half in halves]
    found = [part.apply(images[half]) for part, half in zip(parts, halves, strict=True)]
    torch.testing.assert_close(torch.cat(found), expected)
    torch.testing.assert_close(parts[0].followed_by(parts[1]).to("cpu").apply(images), expected)


@given(st.integers(0, 2**20), st.sampled_from([8, 32, 40]), st.floats(0, 0.6))
def test_swapped_images_show_one_foreground_and_nothing_of_the_other(seed, side, share):
    """Where the foreground is not, all pixels are of the other image's background."""
    draw = torch.Generator().manual_seed(seed)
    coarse = (torch.rand(2, 4, 1, 4, 4, generator=draw) < share).byte() * 255
    masks = coarse.repeat_interleave(side // 4, 3).repeat_interleave(side // 4, 4)
    # grey levels say where a pixel is from: even ones of a foreground, odd ones of a background
    levels = torch.randint(0, 127, (2, 4, 3, side, side), dtype=torch.uint8, generator=draw) * 2
    images = torch.cat([levels + (masks == 0), masks], dim=2)
    fore, back = images
    found = swapped(fore, back)
    inside = (fore[:, 3:] > 0).expand_as(found)
    assert torch.equal(found[inside], fore[:, :3][inside])
    for one, shown, behind in zip(found, inside, back, strict=True):
        if not (behind[3] == 0).any():
            assert torch.equal(one[~shown], behind[:3, :1, :1].expand_as(one)[~shown])
            continue
        assert (one[~shown] % 2 == 1).all()
        assert set(one[~shown].tolist()) <= set(behind[:3, behind[3] == 0].flatten().tolist())


def test_a_rectangle_of_squares_keeps_away_from_the_foreground():
    image = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[0, 0, 3], mask[0, :, 6:] = 255, 255  # one pixel makes its square foreground
    found = tiled(image, mask, cell=2)[0, 0]
    assert torch.equal(found, image[0, 0, 2:8, :6].repeat(2, 2)[:8, :8])

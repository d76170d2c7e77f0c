import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contsemi.views import Augment, augment
from contsemi.views.augment import Asked
from contsemi.views.draws import Draws
from contsemi.views.plan import draw_plan

EVERYTHING = {
    "rotate": 10.0,
    "shift": 0.1,
    "greyscale": 0.3,
    "blur": 0.3,
    "solarise": 0.3,
    "equalise": 0.3,
    "erase": 0.3,
}
# A last bit, which may differ between vector lanes, can carry a value over a threshold or into
# the next level of a histogram: these two are compared bit for bit in their own tests.
SMOOTH = EVERYTHING | {"solarise": 0.0, "equalise": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["cifar", "imagenet", "digits"])
def test_policies(policy, photographs, name):
    views = policy(name)
    views_of = Augment(views)
    for kind, crop in views.policies.items():
        size = crop.size
        result = views_of.view(kind, photographs[:3], 2, seeded())
        assert result.shape == (6, 3, size, size)
        assert result.dtype == torch.float32
        assert result.is_contiguous(memory_format=torch.channels_last)
        assert result.isfinite().all()
        low = (0 - torch.tensor(views.mean)) / torch.tensor(views.std)
        high = (1 - torch.tensor(views.mean)) / torch.tensor(views.std)
        assert (result.amin((0, 2, 3)) >= low - 1e-4).all()
        assert (result.amax((0, 2, 3)) <= high + 1e-4).all()
    assert Augment(views).test(photographs).shape[2:] == (views.test_size,) * 2


def test_cifar_policy_is_nncsls(policy):
    views = policy("cifar")
    large, small, labelled = (views.policies[name] for name in ("large", "small", "labelled"))
    assert (large.size, large.scale) == (32, [0.75, 1.0])
    assert (small.size, small.scale) == (18, [0.3, 0.75])
    assert labelled == large
    for crop in (large, small):
        assert (crop.flip, crop.solarise, crop.equalise) == (0.5, 0.2, 0.2)
        assert (crop.greyscale, crop.blur, crop.erase, crop.rotate, crop.shift) == (0,) * 5
        assert list(crop.jitter.model_dump().values()) == [0.8, 0.4, 0.4, 0.4, 0.1]


def test_same_seed_same_bits(policy, photographs):
    views_of = Augment(policy("cifar", **EVERYTHING))
    first = views_of.view("large", photographs, 3, seeded(5))
    assert torch.equal(first, views_of.view("large", photographs, 3, seeded(5)))
    assert torch.equal(first, Augment(views_of.config).view("large", photographs, 3, seeded(5)))
    assert not torch.equal(first, views_of.view("large", photographs, 3, seeded(6)))


def test_views_of_an_image_differ(policy, photographs):
    rows = Augment(policy("cifar")).view(
        "large", photographs[:1].expand(4, -1, -1, -1), 2, seeded()
    )
    assert len(rows.flatten(1).unique(dim=0)) == 8


def test_rows_are_view_major(policy):
    still = policy("cifar", scale=[1.0, 1.0], ratio=[1.0, 1.0], flip=0.0, solarise=0.0, equalise=0)
    large = still.policies["large"]
    calm = large.jitter.model_copy(update={"probability": 0.0})
    large = large.model_copy(update={"jitter": calm})
    still = still.model_copy(update={"policies": {"large": large}})
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32) * 50
    rows = Augment(still).view("large", images, 3, seeded())
    values = rows * torch.tensor(still.std)[:, None, None] + torch.tensor(still.mean)[:, None, None]
    torch.testing.assert_close(
        values[:, 0, 4, 4] * 255, (torch.arange(5.0) * 50).repeat(3), atol=1e-3, rtol=0
    )


def test_random_numbers_drawn_do_not_depend_on_the_images(policy, photographs):
    views_of = Augment(policy("cifar", **EVERYTHING))
    states = []
    for images in (photographs, torch.zeros_like(photographs)):
        generator = seeded()
        views_of.view("large", images, 2, generator)
        states.append(generator.get_state())
    assert torch.equal(*states)


def test_no_global_random_number_is_drawn(policy, photographs):
    before = torch.get_rng_state()
    Augment(policy("cifar", **EVERYTHING)).view("large", photographs, 2, seeded())
    assert torch.equal(torch.get_rng_state(), before)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), start=st.integers(0, 23), count=st.integers(1, 24))
def test_a_row_does_not_depend_on_the_others(policy, photographs, seed, start, count):
    views = policy("cifar", **SMOOTH)
    plan = draw_plan(views.policies["large"], Draws(seeded(seed), 24), 32, fill=[0.0] * 3)
    source = torch.arange(12).repeat(2)
    together = Augment(views).render(photographs, source, plan)
    span = slice(start, start + count)
    apart = Augment(views).render(photographs, source[span], plan.rows(span))
    torch.testing.assert_close(apart, together[span], atol=5e-5, rtol=0)


@pytest.mark.parametrize("size", [1, 8, 17])
@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("views", [1, 3])
def test_any_shape(policy, generator, size, batch, views):
    images = torch.randint(0, 256, (batch, 3, 11, 11), generator=generator, dtype=torch.uint8)
    views_of = Augment(policy("cifar", **EVERYTHING, size=size))
    result = views_of.view("large", images, views, generator)
    assert result.shape == (views * batch, 3, size, size)
    assert result.isfinite().all()


def test_passes_of_any_size_agree(policy, photographs, monkeypatch):
    views_of = Augment(policy("cifar", **SMOOTH))
    whole = views_of.view("large", photographs, 3, seeded())
    for rows in (1, 5, 36):
        monkeypatch.setitem(augment.PASS_BYTES, "cpu", rows * 12 * 32 * 32)
        result = views_of.view("large", photographs, 3, seeded())
        torch.testing.assert_close(result, whole, atol=5e-5, rtol=0)


def test_operations_not_in_the_policy_are_not_drawn(policy):
    plan = draw_plan(policy("cifar").policies["large"], Draws(seeded(), 4), 32, fill=[0.0] * 3)
    assert [type(step).__name__ for step in plan.steps] == ["Jitter", "Solarise", "Equalise"]


def test_autocast_does_not_reach_the_pixels(policy, photographs):
    views_of = Augment(policy("cifar"))
    expected = views_of.view("large", photographs, 1, seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = views_of.view("large", photographs, 1, seeded())
        assert views_of.test(photographs).dtype == torch.float32
    assert torch.equal(result, expected)


@pytest.mark.parametrize(
    ("side", "size", "crop"), [(32, 32, 1.0), (32, 56, 0.875), (64, 28, 0.875), (32, 16, 1.0)]
)
def test_test_images_equal_pil(policy, generator, side, size, crop):
    images = torch.randint(0, 256, (3, 3, side, side), generator=generator, dtype=torch.uint8)
    views = policy("cifar").model_copy(update={"test_size": size, "test_crop": crop})
    result = Augment(views).test(images)
    whole = round(size / crop)
    margin = (whole - size) // 2
    for image, row in zip(images, result, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture = picture.resize((whole, whole), Image.Resampling.BILINEAR)
        pixels = np.array(picture)[margin : margin + size, margin : margin + size]
        ours = row * torch.tensor(views.std)[:, None, None]
        ours = (ours + torch.tensor(views.mean)[:, None, None]) * 255
        expected = torch.from_numpy(pixels).permute(2, 0, 1).float()
        torch.testing.assert_close(ours, expected, atol=1.0 + 2e-3, rtol=0)


def test_test_images_of_an_empty_batch(policy):
    empty = torch.empty((0, 3, 32, 32), dtype=torch.uint8)
    assert Augment(policy("cifar")).test(empty).shape == (0, 3, 32, 32)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8).byte(), torch.zeros(2, 3, 8, 9).byte()],
)
def test_wrong_images_are_refused(policy, images):
    views_of = Augment(policy("cifar"))
    with pytest.raises(ValueError, match="expected uint8"):
        views_of.view("large", images, 1, seeded())
    with pytest.raises(ValueError, match="expected uint8"):
        views_of.test(images)


def test_images_on_another_device_are_refused(policy):
    images = torch.empty((2, 3, 32, 32), dtype=torch.uint8, device="meta")
    with pytest.raises(ValueError, match="generator on cpu, images on meta"):
        Augment(policy("cifar")).view("large", images, 1, seeded())


@pytest.mark.parametrize("part", [None, (12, torch.tensor([1, 4, 5]))], ids=["whole", "part"])
@pytest.mark.parametrize("other", [{}, {"flip": 0.0, "blur": 0.5}, {"size": 20}], ids=str)
def test_kinds_of_views_made_at_once_are_those_of_each(other, part, policy, photographs):
    views = policy("cifar", **SMOOTH)
    large = views.policies["large"]
    policies = {"large": large, "other": large.model_copy(update=other)}
    augment = Augment(views.model_copy(update={"policies": policies}))
    few, many = photographs[:3], photographs[3:6] if part else photographs
    asked = [Asked("other", few, 2), Asked("large", many, 3, part), Asked("large", few, 1)]
    draw, again = seeded(4), seeded(4)
    expected = [augment.view(x.policy, x.images, x.number, draw, x.part) for x in asked]
    found = augment.views(asked, again)
    for one, alone in zip(found, expected, strict=True):
        torch.testing.assert_close(one, alone, rtol=0, atol=1e-4)
    assert draw.get_state().equal(again.get_state())
    places = [each.untyped_storage().data_ptr() for each in found]
    assert places[1] == places[2] and (places[0] == places[1]) == ("size" not in other)
    assert found[2].storage_offset() == found[1].storage_offset() + found[1].numel()


@pytest.mark.gpu
def test_cpu_and_cuda_agree(policy, photographs):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    views = policy("cifar", **SMOOTH)
    plan = draw_plan(views.policies["large"], Draws(seeded(), 24), 32, fill=[0.0] * 3)
    source = torch.arange(12).repeat(2)
    here = Augment(views).render(photographs, source, plan)
    there = Augment(views).render(photographs.cuda(), source.cuda(), plan.to("cuda"))
    torch.testing.assert_close(there.cpu(), here, atol=1e-3, rtol=0)
    drawn = Augment(policy("cifar")).view("large", photographs.cuda(), 2, torch.Generator("cuda"))
    assert drawn.isfinite().all()

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop

from contsemi.views import geometry
from contsemi.views.draws import Draws
from contsemi.views.geometry import Boxes, draw_boxes, interpolation

RATIO = (3 / 4, 4 / 3)


def pil_crop(image: torch.Tensor, box: tuple[int, int, int, int], flip: bool, size: int):
    top, left, height, width = box
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    picture = picture.crop((left, top, left + width, top + height))
    picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


@pytest.mark.parametrize("size", [1, 9, 18, 32, 47])
@pytest.mark.parametrize("scale", [(0.05, 0.2), (0.3, 1.0)])
def test_equals_pil(photographs, generator, size, scale):
    images = photographs.repeat(4, 1, 1, 1)
    boxes = draw_boxes(Draws(generator, len(images)), 32, scale=scale, ratio=RATIO, flip=0.5)
    views = boxes.crop(images, size) * 255
    rows = torch.cat((boxes.start, boxes.length), 1).int().tolist()
    expected = torch.stack(
        [
            pil_crop(image, tuple(row), bool(flip), size)
            for image, row, flip in zip(images, rows, boxes.flip, strict=True)
        ]
    )
    # PIL rounds to whole values twice, by at most a half each
    torch.testing.assert_close(views, expected.float(), atol=1.0 + 2e-3, rtol=0)
    assert (views - expected).abs().mean() < 0.35


@pytest.mark.parametrize(
    ("scale", "ratio"), [((0.75, 1.0), RATIO), ((0.3, 0.75), RATIO), ((0.05, 0.14), (0.5, 3.0))]
)
def test_distributed_as_torchvision(scale, ratio):
    count, side = 4000, 32
    draws = Draws(torch.Generator().manual_seed(1), count)
    boxes = draw_boxes(draws, side, scale=scale, ratio=ratio, flip=0.3)
    ours = torch.cat((boxes.start, boxes.length), 1)
    blank = torch.zeros(3, side, side)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        theirs = torch.tensor(
            [RandomResizedCrop.get_params(blank, list(scale), list(ratio)) for _ in range(count)]
        )
    for derived in (
        lambda x: x[:, 0],
        lambda x: x[:, 1],
        lambda x: x[:, 2] * x[:, 3],
        lambda x: x[:, 3] / x[:, 2],
        lambda x: x[:, 0] / (side - x[:, 2] + 1),
    ):
        assert ks_2samp(derived(ours), derived(theirs)).pvalue > 1e-3
    assert abs(boxes.flip.float().mean() - 0.3) < 0.03
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, :2] + ours[:, 2:] <= side).all()


@pytest.mark.parametrize("ratio", [(2.0, 3.0), (0.2, 0.4), (1.0, 1.0)])
def test_central_crop_where_nothing_fits(generator, ratio):
    scale = (1.0, 1.0) if ratio != (1.0, 1.0) else (2.0, 3.0)
    boxes = draw_boxes(Draws(generator, 5), 31, scale=scale, ratio=ratio, flip=0.0)
    expected = RandomResizedCrop.get_params(torch.zeros(3, 31, 31), list(scale), list(ratio))
    rows = torch.cat((boxes.start, boxes.length), 1).int().tolist()
    assert rows == [list(expected)] * 5
    assert not boxes.flip.any()


def test_flip_mirrors(photographs):
    rows = len(photographs)
    start, length = torch.full((rows, 2), 3.0), torch.full((rows, 2), 20.0)
    plain, mirrored = (
        Boxes(start=start, length=length, flip=torch.full((rows,), flip)).crop(photographs, 18)
        for flip in (False, True)
    )
    torch.testing.assert_close(mirrored, plain.flip(-1), atol=4e-6, rtol=0)


@settings(max_examples=50, deadline=None)
@given(
    side=st.integers(1, 40),
    size=st.integers(1, 40),
    data=st.data(),
    flip=st.booleans(),
)
def test_weights_are_averages_inside_the_crop(side, size, data, flip):
    low = data.draw(st.integers(0, side - 1))
    high = data.draw(st.integers(low + 1, side))
    step = (high - low) / size
    origin = torch.tensor([float(high if flip else low)])
    weights = interpolation(
        origin,
        torch.tensor([-step if flip else step]),
        torch.tensor([float(low)]),
        torch.tensor([float(high)]),
        side,
        size,
    )
    assert weights.shape == (1, size, side)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, size))
    assert weights[..., :low].count_nonzero() == 0
    assert weights[..., high:].count_nonzero() == 0


@pytest.mark.parametrize("size", [1, 9, 32, 47])
def test_weights_looked_up_are_those_computed(photographs, generator, monkeypatch, size):
    images = photographs.repeat(4, 1, 1, 1)
    boxes = draw_boxes(Draws(generator, len(images)), 32, scale=(0.05, 1), ratio=RATIO, flip=0.5)
    looked_up = boxes.crop(images, size)
    monkeypatch.setattr(geometry, "TABLE_BYTES", 0)
    torch.testing.assert_close(looked_up, boxes.crop(images, size), atol=2e-6, rtol=0)

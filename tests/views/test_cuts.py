"""Crops of images with sizes of their own, against torchvision's draws."""

import pytest
import torch
from torchvision.transforms import v2

from contsemi.seeding import generator
from contsemi.views.cuts import draw_cuts
from contsemi.views.draws import Draws

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (64, 64)])
def test_crops_are_distributed_as_torchvisions(height, width):
    count = 4000
    sides = torch.tensor([[height, width]]).expand(count, 2)
    ours = draw_cuts(Draws(generator(0, "a"), count), sides, scale=SCALE, ratio=RATIO).double()
    torch.manual_seed(0)
    image = torch.empty(1, height, width)
    crop = v2.RandomResizedCrop(8, SCALE, RATIO, antialias=True)
    params = [crop.make_params([image]) for _ in range(count)]
    theirs = torch.tensor([[p["top"], p["left"], p["height"], p["width"]] for p in params]).double()
    for found in (ours, theirs):
        assert (found[:, :2] >= 0).all() and (found[:, 2:] >= 1).all()
        assert (found[:, 0] + found[:, 2] <= height).all()
        assert (found[:, 1] + found[:, 3] <= width).all()
    error = (ours.var(0) + theirs.var(0)).div(count).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 5 * error).all()
    assert ((ours.std(0) / theirs.std(0) - 1).abs() < 0.1).all()


def test_an_image_that_no_crop_fits_gives_its_middle():
    sides = torch.tensor([[10, 1000], [1000, 10], [1, 1]])
    found = draw_cuts(Draws(generator(0, "a"), 3), sides, scale=(0.9, 1.0), ratio=RATIO)
    assert found.tolist() == [[0, 493, 10, 13], [493, 0, 13, 10], [0, 0, 1, 1]]

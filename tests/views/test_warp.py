import math

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from contsemi.views.draws import Draws
from contsemi.views.warp import Warp, draw_warp


def test_equals_torchvision(photographs):
    images = photographs.float() / 255
    rows = len(images)
    degrees = torch.linspace(-40, 40, rows)
    pixels = torch.stack((torch.arange(rows) - 6, 4 - torch.arange(rows)), dim=1)
    result = Warp(angle=torch.deg2rad(degrees), shift=pixels / 32).apply(images)
    for image, angle, shift, row in zip(
        images, degrees.tolist(), pixels.tolist(), result, strict=True
    ):
        expected = affine(image, angle, shift, 1.0, [0.0], InterpolationMode.BILINEAR)
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=0)


def test_drawn_within_the_ranges(generator):
    drawn = draw_warp(Draws(generator, 2000), rotate=12.0, shift=0.1)
    for values, limit in ((drawn.angle, math.radians(12)), (drawn.shift, 0.1)):
        assert values.abs().max() <= limit
        assert values.min() < -0.95 * limit
        assert values.max() > 0.95 * limit


def test_no_motion_is_identity(photographs):
    images = photographs.float() / 255
    still = Warp(angle=torch.zeros(12), shift=torch.zeros(12, 2))
    torch.testing.assert_close(still.apply(images), images, atol=1e-5, rtol=0)

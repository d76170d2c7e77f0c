import pytest
import torch
from torchvision.transforms.functional import adjust_hue

from contsemi.views.hue import turn_hue_


@pytest.mark.parametrize("turn", [-0.5, -0.2, -0.01, 0.0, 0.1, 1 / 3, 0.5])
@pytest.mark.thorough
def test_equals_torchvision(photographs, turn):
    images = photographs.float() / 255
    turned = turn_hue_(images.clone(), torch.full((len(images),), turn))
    torch.testing.assert_close(turned, adjust_hue(images, turn), atol=3e-6, rtol=0)


def test_corners_of_the_colour_cube():
    levels = torch.tensor([0.0, 0.5, 1.0])
    colours = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 27, 1)
    for turn in (-0.5, -1 / 6, 0.0, 1 / 6, 0.25, 0.5):
        turned = turn_hue_(colours.clone(), torch.tensor([turn]))
        torch.testing.assert_close(turned, adjust_hue(colours, turn), atol=3e-6, rtol=0)


def test_a_turn_of_its_own_for_each_image(photographs):
    images = photographs.float() / 255
    turns = torch.linspace(-0.5, 0.5, len(images))
    turned = turn_hue_(images.clone(), turns)
    for image, turn, result in zip(images, turns.tolist(), turned, strict=True):
        torch.testing.assert_close(result, adjust_hue(image, turn), atol=3e-6, rtol=0)

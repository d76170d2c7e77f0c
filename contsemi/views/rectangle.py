"""Random rectangles by area and aspect ratio, for crops and for erasing."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contsemi.views.draws import Draws

ATTEMPTS = 10  # as torchvision


def draw_rectangles(
    draws: Draws,
    side: int | Tensor,
    scale: Sequence[float],
    ratio: Sequence[float],
    largest: int | Tensor,
) -> tuple[Tensor, Tensor]:
    """The first of ten attempts that fits, as torchvision draws crops and erased boxes.

    An attempt draws the share of the area uniformly and the ratio of width to height uniformly
    in its logarithm.

    Args:
        draws: source of random numbers.
        side: S, side of the image in pixels; or height and width of each image, float [N, 2].
        scale: lowest and highest share of the image's area.
        ratio: lowest and highest width / height.
        largest: longest side of a rectangle that fits; or height and width, float [N, 2].

    Returns:
        height and width, whole numbers as float [N, 2], and whether they fit, bool [N]; where no
        attempt did, those of the first.
    """
    whole = side.prod(1, keepdim=True) if isinstance(side, Tensor) else side * side
    area = draws.uniform(scale[0], scale[1], ATTEMPTS).mul_(whole)
    shape = draws.uniform(math.log(ratio[0]), math.log(ratio[1]), ATTEMPTS).exp_()
    lengths = torch.stack((area / shape, area * shape), dim=-1).sqrt_().round_()
    if isinstance(largest, Tensor):
        within = (lengths <= largest[:, None]).all(-1)
    else:
        within = lengths.amax(-1) <= largest
    fits = (lengths.amin(-1) >= 1) & within
    first = fits.byte().argmax(1)
    rows = torch.arange(draws.rows, device=first.device)
    return lengths[rows, first], fits[rows, first]

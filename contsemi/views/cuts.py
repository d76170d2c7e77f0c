"""Random resized crops of images that have sizes of their own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contsemi.views.draws import Draws
from contsemi.views.rectangle import draw_rectangles


def draw_cuts(
    draws: Draws, sides: Tensor, *, scale: Sequence[float], ratio: Sequence[float]
) -> Tensor:
    """Crops distributed as those of torchvision's ``RandomResizedCrop.get_params``.

    Args:
        draws: source of random numbers, for N views.
        sides: [N, 2], height and width of the image of each view, in pixels.
        scale: lowest and highest share of the area.
        ratio: lowest and highest width / height.

    Returns:
        int64 [N, 4], top, left, height and width.
    """
    whole = sides.double()
    lengths, fits = draw_rectangles(draws, whole, scale, ratio, largest=whole)
    # where no attempt fitted: the largest central crop with an allowed ratio
    height, width = whole.unbind(1)
    central = torch.stack(
        (torch.minimum(height, width / ratio[0]), torch.minimum(width, height * ratio[1])), 1
    )
    lengths = torch.where(fits[:, None], lengths, central.round().clamp_(min=1))
    room = whole - lengths
    place = draws.uniform(0.0, 1.0, 2) * (room + 1)
    start = torch.where(fits[:, None], place.floor(), (room / 2).floor())
    return torch.cat([torch.minimum(start, room), lengths], 1).long()

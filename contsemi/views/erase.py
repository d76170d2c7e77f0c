"""Random erasing: a rectangle of each view is blotted out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.views.draws import Drawn, Draws
from contsemi.views.rectangle import draw_rectangles

RATIO = (0.3, 3.3)  # width / height, as torchvision


@dataclass(frozen=True, slots=True)
class Erase(Drawn):
    """A rectangle per view that takes the mean colour, hence 0 once normalised.

    Attributes:
        start: [N, 2], top and left, whole pixels as float.
        length: [N, 2], height and width; 0 where nothing is erased.
        fill: [N, 3], the colour.
    """

    start: Tensor
    length: Tensor
    fill: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, S, S] -> the same."""
        pixel = torch.arange(images.shape[-1], device=images.device)
        start, end = self.start[..., None], (self.start + self.length)[..., None]
        rows, columns = ((pixel >= start) & (pixel < end)).unbind(1)
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        return torch.where(inside, self.fill[:, :, None, None], images)


def draw_erase(
    draws: Draws, side: int, probability: float, scale: Sequence[float], fill: Sequence[float]
) -> Erase:
    """Rectangles distributed as those of torchvision's ``RandomErasing``.

    Args:
        draws: source of random numbers.
        side: side of the views in pixels.
        probability: probability that a view is erased.
        scale: lowest and highest share of the area.
        fill: the colour that is put there, three numbers.
    """
    length, fits = draw_rectangles(draws, side, scale, RATIO, largest=side - 1)
    start = (draws.uniform(0.0, 1.0, 2) * (side - length + 1)).floor_()
    chosen = draws.coin(probability) & fits
    return Erase(
        start=start,
        length=torch.where(chosen[:, None], length, 0.0),
        fill=torch.stack([torch.full_like(start[:, 0], value) for value in fill], dim=1),
    )

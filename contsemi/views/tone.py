"""Changes of tone: solarisation and histogram equalisation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.views.draws import Drawn, Draws
from contsemi.views.select import on_rows

LEVELS = 256


def solarise(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert every value that is not below its image's threshold.

    Args:
        images: float [N, 3, H, W] in [0, 1].
        threshold: [N] in [0, 1].
    """
    # ½ - (x - ½) or ½ + (x - ½) by the sign bit: a comparison and a select are far slower on a CPU
    sign = images - threshold[:, None, None, None]
    flip = torch.copysign(torch.full_like(sign, -1.0), sign).neg_()
    return images.sub(0.5).mul_(flip).add_(0.5)


def equalise(images: Tensor) -> Tensor:
    """Spread the histogram of each channel over all levels, as PIL and torchvision.

    Values are rounded to the 256 levels of a byte first; on these the result is bit for bit that
    of torchvision's ``equalize``.

    Args:
        images: float [N, 3, H, W] in [0, 1].

    Returns:
        float [N, 3, H, W], multiples of 1/255.
    """
    pixels = images.shape[2] * images.shape[3]
    level = (images * 255).round_().clamp_(0, 255).int().long().flatten(2)
    # counts as floats: all are whole numbers far below 2^24, and so are their exact quotients
    shape = (*level.shape[:2], LEVELS)
    one = images.new_ones(()).expand_as(level)
    histogram = images.new_zeros(shape).scatter_add_(2, level, one)
    brightest = histogram.gather(2, level.amax(2, keepdim=True))
    step = ((pixels - brightest) / (LEVELS - 1)).floor_()
    below = histogram.cumsum(2).sub_(histogram)  # pixels darker than the level
    below.add_((step / 2).floor_())
    table = below.div_(step.clamp(min=1)).floor_().clamp_(max=LEVELS - 1)
    same = torch.arange(LEVELS, device=images.device, dtype=images.dtype)
    table = torch.where(step > 0, table, same).div_(255)
    return table.gather(2, level).view_as(images)


@dataclass(frozen=True, slots=True)
class Solarise(Drawn):
    """Views whose bright values are inverted.

    Attributes:
        chosen: bool [N].
        threshold: [N] in [0, 1).
    """

    chosen: Tensor
    threshold: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> the same."""
        return on_rows(images, self.chosen, solarise, self.threshold)


@dataclass(frozen=True, slots=True)
class Equalise(Drawn):
    """Views whose histogram is equalised.

    Attributes:
        chosen: bool [N].
    """

    chosen: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> the same."""
        return on_rows(images, self.chosen, equalise)


def draw_solarise(draws: Draws, probability: float) -> Solarise:
    """Each view with the probability given, above a threshold uniform in [0, 1)."""
    return Solarise(
        chosen=draws.coin(probability),
        threshold=draws.uniform(0.0, 1.0)[:, 0],
    )


def draw_equalise(draws: Draws, probability: float) -> Equalise:
    """Each view with the probability given."""
    return Equalise(chosen=draws.coin(probability))

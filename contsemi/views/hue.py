"""Turning the hue of an image without going through HSV."""

import torch
from torch import Tensor

SIXTH = 1 / 6


def turn_hue_(images: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue in place; equals HSV there and back (torchvision's ``adjust_hue``).

    With channels scaled to lowest 0 and highest 1, the distance of a colour from red along the
    hexagon of hues is 1 - r + g + b sixths of a turn, and the sign of g - b tells the side. Neither
    the highest nor the lowest value changes, and along the circle of hues each channel runs through
    the same wave, a third of a turn apart: low - chroma + 6 chroma · clamp(|hue - 1/2|, 1/6, 2/6)
    for red. No branches, so it vectorises.

    Args:
        images: float [N, 3, H, W] in [0, 1].
        turns: [N], whole turns in [-1/2, 1/2].

    Returns:
        ``images``.
    """
    red, green, blue = images.unbind(1)
    low = torch.minimum(red, green)
    chroma = torch.maximum(red, green)
    torch.maximum(chroma, blue, out=chroma)
    torch.minimum(low, blue, out=low)
    chroma.sub_(low)
    # where the chroma is 0 the hue does not matter, but it must be a number
    six = chroma.mul(6).clamp_(min=1e-9)
    hue = torch.add(green, blue).sub_(red).sub_(low).div_(six).add_(SIXTH)
    hue.copysign_(green - blue)
    # red, green, blue; frac wants positive numbers
    ahead = 2 - torch.arange(3, device=turns.device) / 3
    wave = torch.add(hue[:, None], (turns[:, None] + ahead)[..., None, None])
    wave.frac_().sub_(0.5).abs_().clamp_(SIXTH, 2 * SIXTH)
    base = low.sub_(chroma)
    return torch.addcmul(base[:, None], six[:, None], wave, out=images)

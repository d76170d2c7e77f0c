"""Turning the hue of an image without going through HSV."""

import torch
from torch import Tensor

__all__ = ["turn_hue_"]


def turn_hue_(images: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue in place; equals HSV there and back (torchvision's ``adjust_hue``).

    With channels scaled to lowest 0 and highest 1, the distance of a colour from red along the
    hexagon of hues is 1 - r + g + b sixths of a turn, and the sign of g - b tells the side. The
    turned channel is low + chroma · clamp(2 - distance of the hue from that channel, 0, 1), since
    neither the highest nor the lowest value changes. No branches, so it vectorises.

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
    # distance from red in turns; where the chroma is 0 the hue does not matter
    hue = torch.add(green, blue).sub_(red).sub_(low)
    hue.div_(chroma.mul(6).clamp_(min=1e-9)).add_(1 / 6)
    hue.copysign_(green - blue)
    hue.add_(turns[:, None, None] + 2).frac_().mul_(6)  # + 2: frac wants a positive number
    part = torch.empty_like(hue)
    torch.sub(hue, 3, out=part).abs_().sub_(1).clamp_(0, 1)
    torch.addcmul(low, chroma, part, out=red)
    torch.sub(hue, 2, out=part).abs_().neg_().add_(2).clamp_(0, 1)
    torch.addcmul(low, chroma, part, out=green)
    torch.sub(hue, 4, out=part).abs_().neg_().add_(2).clamp_(0, 1)
    torch.addcmul(low, chroma, part, out=blue)
    return images

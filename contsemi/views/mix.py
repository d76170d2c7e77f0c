"""Mixup and CutMix: images mixed with those as far from the other end of the batch."""

import math

import torch
from torch import Tensor

__all__ = ["mix"]


@torch.no_grad()
def mix(images: Tensor, partners: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
    """Mixes row i with row N - 1 - i of the partners, all rows by the same draw.

    A coin decides between mixup, which blends all pixels, and CutMix, which pastes a rectangle.
    The share is Beta(1, 1), that is uniform; CutMix corrects it to the area that is left.

    Args:
        images: float [N, 3, s, s].
        partners: float [N, 3, s, s]; another view of the same images, or the same.
        generator: on the CPU, so that nothing waits for the device.

    Returns:
        The mixed images and the share of ``images`` in them, in [0, 1].

    Source: Zhang et al. 2018 (mixup); Yun et al. 2019 (CutMix); used so by Suave's code.
    """
    cut, share, x, y = torch.rand(4, generator=generator).tolist()
    others = partners.flip(0)
    if cut >= 0.5:
        return others.lerp(images, share), share
    height, width = images.shape[-2:]
    top, bottom = _span(y, height, share)
    left, right = _span(x, width, share)
    mixed = images.clone(memory_format=torch.preserve_format)
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(centre: float, side: int, share: float) -> tuple[int, int]:
    """A stretch of sqrt(1 - share) of the side around a centre, cut off at the image's edge."""
    half = int(side * math.sqrt(1 - share)) // 2
    middle = int(centre * side)
    return max(middle - half, 0), min(middle + half, side)

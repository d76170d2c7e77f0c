"""Mixup and CutMix: images mixed with others of the batch, all rows by the same draw."""

import math

import numpy as np
import torch
from torch import Tensor


@torch.no_grad()
def mix(
    images: Tensor,
    partners: Tensor,
    generator: torch.Generator,
    *,
    cut: bool = True,
    alpha: float = 1.0,
    larger_first: bool = False,
) -> tuple[Tensor, float]:
    """Mixes each row with the same row of the partners, all rows by the same draw.

    Mixup blends all pixels, CutMix pastes a rectangle of the partner. CutMix corrects the share to
    the area that is left.

    Args:
        images: float [N, 3, s, s].
        partners: float [N, 3, s, s].
        generator: on the CPU, so that nothing waits for the device.
        cut: whether a coin decides between mixup and CutMix, else it is mixup.
        alpha: the share of ``images`` is of Beta(alpha, alpha).
        larger_first: whether it is the greater one of the two shares.

    Returns:
        The mixed images and the share of ``images`` in them, in [0, 1].

    Source: Zhang et al. 2018 (mixup); Yun et al. 2019 (CutMix); both so in Suave's code; Berthelot
        et al. 2019, eq. 9 (MixMatch) has the greater share.
    """
    coin, share, x, y = torch.rand(4, generator=generator).tolist()
    if alpha != 1:
        share = float(np.random.default_rng(int(share * 2**24)).beta(alpha, alpha))
    if larger_first:
        share = max(share, 1 - share)
    if not cut or coin >= 0.5:
        return partners.lerp(images, share), share
    height, width = images.shape[-2:]
    top, bottom = _span(y, height, share)
    left, right = _span(x, width, share)
    mixed = images.clone(memory_format=torch.preserve_format)
    mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(centre: float, side: int, share: float) -> tuple[int, int]:
    """A stretch of sqrt(1 - share) of the side around a centre, cut off at the image's edge."""
    half = int(side * math.sqrt(1 - share)) // 2
    middle = int(centre * side)
    return max(middle - half, 0), min(middle + half, side)

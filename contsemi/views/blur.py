"""Gaussian blur with a width of its own for each view."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.views.draws import Drawn, Draws
from contsemi.views.select import on_rows
from contsemi.views.separable import separable


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Convolve with the discrete Gaussian, whose variance is sigma² however narrow it is.

    A Gaussian sampled at the pixels does nearly nothing below half a pixel, where PIL's blur does
    much. Images go on mirrored beyond their borders, so that cosines are the eigenvectors.
    Source: Lindeberg, Scale-space for discrete signals, 1990, eq. 19 and 22.

    Args:
        images: float [N, 3, S, S].
        sigma: [N], standard deviation in pixels.
    """
    side = images.shape[-1]
    place = torch.arange(side, device=images.device)
    # the phase in whole steps, since float32 has no exact cosine of a large angle
    phase = (2 * place + 1)[:, None] * place % (4 * side)
    cosines = torch.cos(phase * (math.pi / (2 * side))) * math.sqrt(2 / side)
    cosines[:, 0] = math.sqrt(1 / side)
    decay = torch.cos(place * (math.pi / side)) - 1
    gain = (sigma.square()[:, None] * decay).exp_()
    weights = (cosines * gain[:, None]) @ cosines.T
    return separable(images, weights, weights)


@dataclass(frozen=True, slots=True)
class Blur(Drawn):
    """Views that are blurred.

    Attributes:
        chosen: bool [N].
        sigma: [N], standard deviation in pixels.
    """

    chosen: Tensor
    sigma: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, S, S] -> the same."""
        return on_rows(images, self.chosen, blur, self.sigma)


def draw_blur(draws: Draws, probability: float, sigma: Sequence[float]) -> Blur:
    """Each view with the probability given, its sigma uniform in [low, high] pixels."""
    return Blur(
        chosen=draws.coin(probability),
        sigma=draws.uniform(sigma[0], sigma[1])[:, 0],
    )

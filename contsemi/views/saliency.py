"""Foreground masks without any network: what the spectrum of natural images does not foretell."""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.views.blur import blur

GREY = (0.299, 0.587, 0.114)
LEVELS = 256
CHUNK = 4096  # images whose spectra are held at a time


def spectral_saliency(
    images: Tensor, *, box: int = 3, blur_share: float = 0.08, mirrored: bool = True
) -> Tensor:
    """Saliency by the spectral residual: the log spectrum less its local mean, brought back.

    Args:
        images: uint8 [N, 3, S, S].
        box: side of the square over which the log spectrum is averaged.
        blur_share: standard deviation of the final blur as a share of the side.
        mirrored: whether the image goes on mirrored beyond its borders. A spectrum takes the
            image to be periodic, and sees an edge at its border otherwise; small images are
            then all border.

    Returns:
        float32 [N, S, S] in [0, 1], least 0 and greatest 1 in each image; 0 for a plain one.

    Source: Hou and Zhang 2007, "Saliency detection: a spectral residual approach", eq. 3 to 5.
    """
    weights = torch.tensor(GREY, device=images.device) / 255
    grey = torch.einsum("nchw,c->nhw", images.float(), weights)
    side = grey.shape[-1]
    if mirrored:
        grey = torch.cat((grey, grey.flip(2)), dim=2)
        grey = torch.cat((grey, grey.flip(1)), dim=1)
    spectrum = torch.fft.fft2(grey)
    # A spectrum of zeros has no logarithm; far below the rounding of pixels nothing is seen.
    log = spectrum.abs().clamp(min=1e-3).log()
    half = box // 2
    around = F.pad(log[:, None], (half, box - 1 - half) * 2, mode="circular")
    residual = (log - F.avg_pool2d(around, box, stride=1)[:, 0]).exp()
    back = torch.fft.ifft2(torch.polar(residual, spectrum.angle())).abs().square()
    # A blur goes on mirrored, too: of the mirrored image one quarter is enough.
    back = back[:, :side, :side].contiguous()
    smooth = blur(back[:, None], torch.full_like(back[:, 0, 0], blur_share * side))[:, 0]
    low, high = smooth.amin((1, 2), keepdim=True), smooth.amax((1, 2), keepdim=True)
    plain = grey.flatten(1).amax(1) == grey.flatten(1).amin(1)
    made = (smooth - low) / (high - low).clamp(min=torch.finfo(smooth.dtype).tiny)
    return made.masked_fill(plain[:, None, None], 0.0)


def otsu(values: Tensor) -> Tensor:
    """The threshold that divides each image's values into the two most different groups.

    Args:
        values: float [N, S, S] in [0, 1].

    Returns:
        float [N], the lower edge of the first of 256 levels that is above; 1 where all values
        are of one level.

    Source: Otsu 1979.
    """
    levels = (values.flatten(1) * LEVELS).long().clamp(max=LEVELS - 1)
    counts = torch.zeros(len(values), LEVELS, dtype=torch.float64, device=values.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels, dtype=torch.float64))
    share = counts / counts.sum(dim=1, keepdim=True)
    below = share.cumsum(dim=1)
    mean = (share * torch.arange(LEVELS, device=values.device)).cumsum(dim=1)
    between = (mean[:, -1:] * below - mean).square() / (below * (1 - below)).clamp(min=1e-12)
    best = between.max(dim=1)
    edge = (best.indices + 1) / LEVELS
    return torch.where(best.values > 1e-9, edge, torch.ones_like(edge)).to(values.dtype)


def spectral_masks(images: Tensor) -> Tensor:
    """Foreground: the pixels whose saliency is above Otsu's threshold.

    Args:
        images: uint8 [N, 3, S, S].

    Returns:
        uint8 [N, S, S], 255 for foreground, else 0.
    """
    made = torch.zeros(len(images), *images.shape[2:], dtype=torch.uint8, device=images.device)
    for start in range(0, len(images), CHUNK):
        span = slice(start, start + CHUNK)
        saliency = spectral_saliency(images[span])
        made[span] = (saliency >= otsu(saliency)[:, None, None]) * 255
    return made


def usable_masks(masks: Tensor, *, least: float = 0.05, most: float = 0.9) -> Tensor:
    """Masks of a believable size; all others are made to be foreground throughout.

    Such an image then keeps its background, whatever is done to backgrounds.

    Args:
        masks: uint8 [N, S, S].
        least: share of the foreground.
        most: share of the foreground.

    Returns:
        uint8 [N, S, S].
    """
    share = masks.float().mean(dim=(1, 2)) / 255
    usable = (share >= least) & (share <= most)
    return torch.where(usable[:, None, None], masks, torch.full_like(masks, 255))

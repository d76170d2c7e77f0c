"""What RandAugment does to colours beside jitter: contrast to the full range, bits, sharpness."""

import torch
import torch.nn.functional as F
from torch import Tensor

# PIL's SMOOTH: the pixel itself counts 5, each of its eight neighbours 1
OWN, OTHER = 5 / 13, 1 / 13


def autocontrast(images: Tensor) -> Tensor:
    """Each channel stretched so that its darkest value is 0 and its brightest 1.

    Args:
        images: float [N, 3, H, W] in [0, 1]; a channel of one value stays as it is.
    """
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = high <= low
    span = torch.where(flat, 1.0, high - low)
    return torch.sub(images, torch.where(flat, 0.0, low)).div_(span)


def posterise(images: Tensor, bits: Tensor) -> Tensor:
    """The highest bits of each value, as a byte; the others become 0.

    Args:
        images: float [N, 3, H, W] in [0, 1]; rounded to bytes first.
        bits: [N], whole numbers in [1, 8] as float.
    """
    step = torch.exp2(8 - bits)[:, None, None, None]
    return (images * 255).round_().div_(step).floor_().mul_(step).div_(255)


def sharpened(images: Tensor, factor: Tensor) -> Tensor:
    """A blend with the smoothed image: below 1 smoother, above 1 sharper; the edge stays.

    Args:
        images: float [N, 3, H, W] in [0, 1].
        factor: [N], the weight of the image itself.
    """
    if min(images.shape[2:]) < 3:
        return images
    kernel = images.new_full((images.shape[1], 1, 3, 3), OTHER)
    kernel[:, :, 1, 1] = OWN
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel, groups=images.shape[1])
    return smooth.lerp_(images, factor[:, None, None, None]).clamp_(0, 1)

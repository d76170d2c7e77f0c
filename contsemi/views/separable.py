"""Linear maps of images that act on rows and columns apart, as two small matrix products."""

import torch
from torch import Tensor

__all__ = ["separable"]


def separable(images: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Every output pixel is a weighted sum over a column of weighted sums over rows.

    Args:
        images: float [N, 3, H, W], contiguous.
        vertical: float [N, h, H], weights of input rows for each output row.
        horizontal: float [N, w, W], weights of input columns for each output column.

    Returns:
        float [N, 3, h, w].
    """
    rows, channels, height, width = images.shape
    narrow = torch.bmm(images.view(rows, channels * height, width), horizontal.mT)
    # repeated by hand: a broadcast product of large batches takes three times as long on a CPU
    each = vertical.repeat_interleave(channels, dim=0)
    out = torch.bmm(each, narrow.view(rows * channels, height, -1))
    return out.view(rows, channels, each.shape[1], -1)

"""Linear maps of images that act on rows and columns apart, as two small matrix products."""

import torch
from torch import Tensor


def separable(
    images: Tensor, vertical: Tensor, horizontal: Tensor, out: Tensor | None = None
) -> Tensor:
    """Every output pixel is a weighted sum over a column of weighted sums over rows.

    Args:
        images: float [N, 3, H, W], contiguous.
        vertical: float [N, h, H], weights of input rows for each output row.
        horizontal: float [N, w, W], weights of input columns for each output column.
        out: float [N, 3, h, w], contiguous, where the result is to be; a new tensor if not given.

    Returns:
        float [N, 3, h, w].
    """
    rows, channels, height, width = images.shape
    narrow = torch.bmm(images.view(rows, channels * height, width), horizontal.mT)
    # repeated by hand: a broadcast product of large batches takes three times as long on a CPU
    each = vertical.repeat_interleave(channels, dim=0)
    flat = None if out is None else out.flatten(0, 1)
    made = torch.bmm(each, narrow.view(rows * channels, height, -1), out=flat)
    return made.view(rows, channels, each.shape[1], -1)

"""Run an operation on the rows that drew it, and leave the others bit for bit as they are."""

from collections.abc import Callable

import torch
from torch import Tensor


def on_rows(
    images: Tensor, chosen: Tensor, operation: Callable[..., Tensor], *parameters: Tensor
) -> Tensor:
    """Apply ``operation(images, *parameters)`` where ``chosen``; may write into ``images``.

    On the CPU only the chosen rows are computed. Elsewhere their number is not known without
    waiting for the device, so all rows are computed and the chosen ones kept; since operations
    treat rows one by one, the outcome is the same.

    Args:
        images: float [N, 3, H, W].
        chosen: bool [N].
        operation: row-wise; images and parameters of n rows -> images of n rows.
        parameters: tensors with one row per view.

    Returns:
        float [N, 3, H, W].
    """
    if images.device.type != "cpu":
        return torch.where(chosen[:, None, None, None], operation(images, *parameters), images)
    index = chosen.nonzero()[:, 0]
    if not len(index):
        return images
    rows = operation(images.index_select(0, index), *(p[index] for p in parameters))
    return images.index_copy_(0, index, rows)

"""Probabilities of some classes, as probabilities of all."""

import torch
from torch import Tensor

__all__ = ["everywhere"]


@torch.no_grad()
def everywhere(probs: Tensor, columns: Tensor, num_classes: int) -> Tensor:
    """The same rows with a zero for every class that took no part.

    Args:
        probs: [N, K].
        columns: int64 [K], the classes that took part.
        num_classes: C.

    Returns:
        [N, C], without gradient.

    >>> everywhere(torch.tensor([[0.5, 0.5]]), torch.tensor([1, 2]), 3)
    tensor([[0.0000, 0.5000, 0.5000]])
    """
    return probs.new_zeros(len(probs), num_classes).index_copy_(1, columns, probs)

"""What all losses share: the precision they work in and the mean over rows that may be none."""

import torch
from torch import Tensor

__all__ = ["row_mean", "sum_of_others", "wide"]


def wide(x: Tensor) -> Tensor:
    """``x`` in float32, the precision of the losses; float64 stays float64.

    >>> wide(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def row_mean(x: Tensor) -> Tensor:
    """Sum of everything in ``x`` [N, ...] divided by N; zero, with a graph, if there is no row.

    >>> row_mean(torch.ones(2, 3)), row_mean(torch.ones(0, 3))
    (tensor(3.), tensor(0.))
    """
    return x.sum() / max(len(x), 1)


def sum_of_others(x: Tensor) -> Tensor:
    """For each view the sum over all other views.

    Args:
        x: [V, B, K].

    Returns:
        [V, B, K]; zero if there is one view only.

    >>> sum_of_others(torch.tensor([[[1.0]], [[2.0]], [[4.0]]])).flatten()
    tensor([6., 5., 3.])
    """
    # Added up rather than total minus own: no cancellation, so that a zero stays a zero.
    others = 1 - torch.eye(len(x), dtype=x.dtype, device=x.device)
    return (others[:, :, None, None] * x).sum(dim=1)

"""What all losses share: the precision they work in and the mean over rows that may be none."""

import torch
from torch import Tensor


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


def whole_views(rows: Tensor, targets: Tensor, batch_size: int) -> tuple[int, int]:
    """Views of B images each that rows and targets are, the latter of no more views.

    Args:
        rows: [V * B, ...].
        targets: [T * B, ...].
        batch_size: B > 0.

    Returns:
        V and T.

    Raises:
        ValueError: they are no whole views, or there is no target, or there are too many.

    >>> whole_views(torch.zeros(6, 1), torch.zeros(4, 1), 2)
    (3, 2)
    """
    views, spare = divmod(len(rows), batch_size)
    aims, spare_targets = divmod(len(targets), batch_size)
    if spare or spare_targets or not 0 < aims <= views:
        raise ValueError(
            f"{len(rows)} rows and {len(targets)} targets are not whole views of {batch_size} "
            "images with at least as many views as targets"
        )
    return views, aims

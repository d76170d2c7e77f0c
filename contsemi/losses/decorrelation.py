"""Two embeddings agree dimension by dimension, and no two dimensions say the same."""

import torch
from torch import Tensor

from contsemi.losses.numerics import wide

EPSILON = 1e-5  # as in a BatchNorm


def decorrelation(first: Tensor, second: Tensor, *, off_diagonal: float, scale: float) -> Tensor:
    """Scale times sum_i (c_ii - 1)^2 + w sum_{i≠j} c_ij^2, c the correlations over the batch.

    Args:
        first: [N, D].
        second: [N, D].
        off_diagonal: w.
        scale: of the whole.

    Returns:
        A scalar; zero if N is 0.

    Source: Zbontar et al. 2021, eq. 1 (Barlow Twins); Fini et al. 2022 (CaSSLe).

    >>> rows = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> decorrelation(rows, rows, off_diagonal=1.0, scale=1.0).round(decimals=4)
    tensor(0.)
    """
    first, second = (_standardised(wide(x)) for x in (first, second))
    with torch.autocast(first.device.type, enabled=False):
        correlation = first.T @ second / max(len(first), 1)
    own = torch.eye(len(correlation), dtype=correlation.dtype, device=correlation.device)
    squares = (correlation - own).square() * (own + off_diagonal * (1 - own))
    return scale * squares.sum() * (len(first) > 0)


def _standardised(x: Tensor) -> Tensor:
    apart = x - x.sum(dim=0) / max(len(x), 1)
    variance = apart.square().sum(dim=0) / max(len(x), 1)
    return apart * (variance + EPSILON).rsqrt()

"""Regression on the unit sphere, row by row."""

import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import row_mean, wide


def sphere_regression(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean of 2 - 2 cos(prediction, target): the squared distance of the unit rows.

    Args:
        predictions: [N, D].
        targets: [N, D]; no gradient flows into them.

    Returns:
        A scalar in [0, 4]; zero if N is 0. A zero row is at distance 2 of everything.

    Source: Navaneet et al. 2021, eq. 1 (SimReg); Fini et al. 2022, eq. 6 (CaSSLe).

    >>> import torch
    >>> sphere_regression(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(2.)
    """
    predictions, targets = wide(predictions), wide(targets.detach())
    cosine = (F.normalize(predictions, dim=1) * F.normalize(targets, dim=1)).sum(dim=1)
    return row_mean(2 - 2 * cosine)

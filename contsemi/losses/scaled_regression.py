"""Features regressed on the past's, in units of how far these vary."""

import torch
from torch import Tensor

from contsemi.losses.numerics import wide

LEAST = 1e-8  # variance of features that are all the same


def scaled_regression(predictions: Tensor, targets: Tensor) -> Tensor:
    """Squared error over the variance of the targets: 1 says "no better than their mean".

    Args:
        predictions: [N, F].
        targets: [N, F]; no gradient flows into them. With one row, or rows that are all the same,
            the error is not scaled.

    Returns:
        A scalar >= 0; zero if N is 0.

    >>> targets = torch.tensor([[0.0], [2.0]])
    >>> scaled_regression(targets.mean(0).expand(2, 1), targets)
    tensor(1.)
    """
    predictions, targets = wide(predictions), wide(targets.detach())
    if not len(targets):
        return predictions.sum()
    spread = (targets - targets.mean(dim=0)).square().mean()
    unit = torch.where(spread > LEAST, spread, 1.0)
    return (predictions - targets).square().mean() / unit

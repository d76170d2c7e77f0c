"""How far an estimated covariance is to be drawn towards a round one, without a setting."""

import torch
from torch import Tensor


def oracle_shrinkage(covariance: Tensor, count: float | Tensor) -> Tensor:
    """The share of a round covariance by the oracle approximating rule, for Gaussian rows.

    Args:
        covariance: [F, F], of ``count`` rows around their mean.
        count: rows behind it; fractional where rows are weighted.

    Returns:
        A scalar in [0, 1]; 1 for no row, and for rows that are all alike.

    Source: Chen, Wiesel, Eldar and Hero 2010, eq. 23 (OAS).
    """
    size = len(covariance)
    squared_width = (covariance.trace() / size) ** 2
    power = (covariance**2).mean()
    above = power + squared_width
    below = (count + 1) * (power - squared_width / size)
    return torch.where(below > 0, above / below, 1.0).clamp(0, 1)

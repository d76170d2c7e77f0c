"""Forgetting as Avalanche counts it: accuracy right after the task minus accuracy at the end."""

from numpy.typing import ArrayLike

from contsemi.metrics.backward_transfer import backward_transfer
from contsemi.metrics.matrix import Undefined

__all__ = ["forgetting_first_minus_last"]


def forgetting_first_minus_last(matrix: ArrayLike) -> float | Undefined:
    """Minus the backward transfer; never greater than :func:`forgetting` (Avalanche 0.6).

    Args:
        matrix: R [T, T], fractions.
    """
    transfer = backward_transfer(matrix)
    return transfer if isinstance(transfer, Undefined) else 0.0 - transfer

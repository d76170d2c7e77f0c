"""Forgetting as Avalanche counts it: accuracy right after the task minus accuracy at the end."""

from numpy.typing import ArrayLike

from contsemi.metrics.backward_transfer import backward_transfer
from contsemi.metrics.matrix import Undefined


def forgetting_first_minus_last(matrix: ArrayLike) -> float | Undefined:
    """Minus the backward transfer; never greater than :func:`forgetting` (Avalanche 0.6).

    Args:
        matrix: R [T, T], fractions.

    >>> forgetting_first_minus_last([[0.5, 0, 0], [1.0, 0.5, 0], [0.25, 0.25, 1.0]])
    0.25
    """
    transfer = backward_transfer(matrix)
    return transfer if isinstance(transfer, Undefined) else 0.0 - transfer

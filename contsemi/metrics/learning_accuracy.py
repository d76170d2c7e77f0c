"""Learning accuracy: how well each task is learned at the time it comes (plasticity)."""

from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, as_matrix, lacking


def learning_accuracy(matrix: ArrayLike) -> float | Undefined:
    """The mean of the diagonal, (1/T) Σ_j R_jj (Riemer et al. 2019).

    Args:
        matrix: R [T, T], fractions.

    >>> learning_accuracy([[1.0, 0.0], [0.25, 0.5]])
    0.75
    """
    values = as_matrix(matrix)
    undefined = lacking(values, ((task, task) for task in range(len(values))))
    return undefined or float(values.diagonal().mean())

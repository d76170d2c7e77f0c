"""Average incremental accuracy: the mean of the average accuracies after each task."""

from numpy.typing import ArrayLike

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.matrix import Undefined, as_matrix, mean_of


def average_incremental_accuracy(matrix: ArrayLike) -> float | Undefined:
    """(1/T) Σ_i A_i (Rebuffi et al., iCaRL, 2017; there with balanced tasks, as here weighed).

    Args:
        matrix: R [T, T], fractions.

    >>> average_incremental_accuracy([[1.0, 0.0], [0.5, 0.75]])
    0.8125
    """
    values = as_matrix(matrix)
    return mean_of(average_accuracy(values, task) for task in range(len(values)))

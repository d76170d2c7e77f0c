"""Average accuracy over the tasks seen so far: the headline."""

from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, as_matrix, lacking


def average_accuracy(matrix: ArrayLike, after: int | None = None) -> float | Undefined:
    """A_i, the mean over tasks j ≤ i of R_ij; every task weighs the same (Lopez-Paz 2017).

    Args:
        matrix: R [T, T], fractions.
        after: i, the task from 0 after which it is taken; ``None`` for the last.

    >>> average_accuracy([[0.9, 0.0], [0.5, 1.0]])
    0.75
    """
    values = as_matrix(matrix)
    row = range(len(values))[-1 if after is None else after]
    undefined = lacking(values, ((row, task) for task in range(row + 1)))
    return undefined or float(values[row, : row + 1].mean())

"""Backward transfer: what later tasks did to the accuracy a task had when it was learned."""

from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, as_matrix, lacking


def backward_transfer(matrix: ArrayLike) -> float | Undefined:
    """The mean over all tasks but the last of R_{T−1,j} − R_jj, from 0 (Lopez-Paz 2017).

    Args:
        matrix: R [T, T], fractions.

    >>> backward_transfer([[1.0, 0.0], [0.75, 1.0]])
    -0.25
    """
    values = as_matrix(matrix)
    last = len(values) - 1
    if not last:
        return Undefined("a stream of one task has no backward transfer")
    undefined = lacking(values, ((row, task) for task in range(last) for row in (task, last)))
    return undefined or float((values[-1] - values.diagonal())[:-1].mean())

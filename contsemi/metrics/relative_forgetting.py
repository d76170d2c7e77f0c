"""Relative forgetting: the share of its best accuracy that each earlier task has lost."""

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.forgetting import forgetting_per_task
from contsemi.metrics.matrix import Undefined, as_matrix, lacking

__all__ = ["relative_forgetting"]


def relative_forgetting(matrix: ArrayLike) -> float | Undefined:
    """The mean over all tasks but the last of (max minus last) / max; 1 is all forgotten.

    Args:
        matrix: R [T, T], fractions.

    >>> relative_forgetting([[0.5, 0.0], [0.25, 1.0]])
    0.5
    """
    values = as_matrix(matrix)
    last = len(values) - 1
    if not last:
        return Undefined("a stream of one task has nothing to forget")
    undefined = lacking(values, ((row, task) for task in range(last) for row in (task, last)))
    if undefined:
        return undefined
    drops = forgetting_per_task(values)[:-1]
    best = drops + values[-1, :-1]
    if not best.all():
        task = int(np.flatnonzero(best == 0)[0])
        return Undefined(f"task {task + 1} was never learned, so no share of it can be forgotten")
    return float((drops / best).mean())

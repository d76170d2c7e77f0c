"""Relative forgetting: the share of its best accuracy that each earlier task has lost."""

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.forgetting import forgetting, forgetting_per_task
from contsemi.metrics.matrix import Undefined, as_matrix


def relative_forgetting(matrix: ArrayLike) -> float | Undefined:
    """The mean over all tasks but the last of (max minus last) / max; 1 is all forgotten.

    Args:
        matrix: R [T, T], fractions.

    >>> relative_forgetting([[0.5, 0.0], [0.25, 1.0]])
    0.5
    """
    values = as_matrix(matrix)
    if isinstance(undefined := forgetting(values), Undefined):
        return undefined
    drops = forgetting_per_task(values)[:-1]
    best = drops + values[-1, :-1]
    if not best.all():
        task = int(np.flatnonzero(best == 0)[0])
        return Undefined(f"task {task + 1} was never learned, so no share of it can be forgotten")
    return float((drops / best).mean())

"""Forgetting: how far each earlier task has fallen from its best."""

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Matrix, Undefined, as_matrix, lacking


def forgetting_per_task(matrix: ArrayLike) -> Matrix:
    """Max minus last of each task: max over j ≤ i < T−1 of R_ij, minus R_{T−1,j} (from 0).

    Negative where a task ended better than it ever was before. Unmeasured rows between are left
    out of the maximum.

    Args:
        matrix: R [T, T], fractions.

    Returns:
        [T]; NaN for the last task, which had no time to be forgotten, and where the accuracy
        right after the task or at the end is not measured.

    >>> forgetting_per_task([[1.0, 0.0], [0.75, 1.0]])
    array([0.25,  nan])
    """
    values = as_matrix(matrix)
    drops = np.full(len(values), np.nan)
    for task in range(len(values) - 1):
        if not np.isnan(values[task, task]):
            drops[task] = np.nanmax(values[task:-1, task]) - values[-1, task]
    return drops


def forgetting(matrix: ArrayLike) -> float | Undefined:
    """The mean over all tasks but the last of max minus last (Chaudhry et al. 2018, F_T).

    Args:
        matrix: R [T, T], fractions.

    >>> forgetting([[0.5, 0, 0], [1.0, 0.5, 0], [0.25, 0.25, 1.0]])
    0.5
    """
    values = as_matrix(matrix)
    if len(values) == 1:
        return Undefined("a stream of one task has nothing to forget")
    last = len(values) - 1
    undefined = lacking(values, ((row, task) for task in range(last) for row in (task, last)))
    return undefined or float(forgetting_per_task(values)[:-1].mean())

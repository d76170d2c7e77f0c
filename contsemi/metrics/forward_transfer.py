"""Forward transfer: what earlier tasks give to a task before it is learned."""

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, as_matrix, lacking


def forward_transfer(matrix: ArrayLike, baseline: ArrayLike) -> float | Undefined:
    """The mean over all tasks but the first of R_{j−1,j} − b_j (Lopez-Paz 2017).

    It says nothing about class-incremental accuracies of a head that knows only the seen
    classes: take it of a probe on the features.

    Args:
        matrix: R [T, T], fractions, measured also just above the diagonal.
        baseline: b [T], accuracy of the network before any training on each task.

    Raises:
        ValueError: ``baseline`` has not one value a task.

    >>> forward_transfer([[1.0, 0.75], [1.0, 1.0]], [0.5, 0.5])
    0.25
    """
    values, start = as_matrix(matrix), np.asarray(baseline, dtype=np.float64)
    if start.shape != (len(values),):
        raise ValueError(f"one baseline a task: expected [{len(values)}], got {list(start.shape)}")
    if len(values) == 1:
        return Undefined("a stream of one task has no forward transfer")
    undefined = lacking(values, ((task - 1, task) for task in range(1, len(values))))
    if undefined is None and np.isnan(start[1:]).any():
        undefined = Undefined("a baseline was not measured")
    return undefined or float((values.diagonal(offset=1) - start[1:]).mean())

"""Intransigence: what a task could have reached, had it been learned together with the others."""

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, as_matrix, lacking

__all__ = ["intransigence"]


def intransigence(matrix: ArrayLike, joint: ArrayLike) -> float | Undefined:
    """The mean over tasks k of a*_k − R_kk (Chaudhry et al. 2018); lower is better.

    Args:
        matrix: R [T, T], fractions.
        joint: a* [T], accuracy on task k of a network trained jointly on tasks 1 to k.

    Raises:
        ValueError: ``joint`` has not one value a task, or one that is not a fraction.

    >>> intransigence([[1.0, 0.0], [1.0, 0.5]], [1.0, 0.75])
    0.125
    """
    values, reference = as_matrix(matrix), np.asarray(joint, dtype=np.float64)
    if reference.shape != (len(values),):
        raise ValueError(f"one value a task: expected [{len(values)}], got {list(reference.shape)}")
    if np.any((reference < 0) | (reference > 1)):
        raise ValueError("accuracies are fractions in [0, 1]; are these percentages?")
    undefined = lacking(values, ((task, task) for task in range(len(values))))
    if undefined is None and np.isnan(reference).any():
        task = int(np.flatnonzero(np.isnan(reference))[0])
        undefined = Undefined(f"there is no joint run up to task {task + 1}")
    return undefined or float((reference - values.diagonal()).mean())

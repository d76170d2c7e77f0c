"""Average incremental accuracy where every test image weighs the same, instead of every task."""

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, as_matrix, mean_of
from contsemi.metrics.sample_weighted_accuracy import sample_weighted_accuracy


def sample_weighted_incremental_accuracy(matrix: ArrayLike, images: ArrayLike) -> float | Undefined:
    """(1/T) Σ_i Σ_{j≤i} n_j R_ij / Σ_{j≤i} n_j: the mean over tasks of one accuracy on all so far.

    That is the number of class-incremental tables (Rebuffi et al., iCaRL, 2017; Hou et al.,
    LUCIR, 2019), which differs from the mean over tasks where tasks are of different sizes.

    >>> sample_weighted_incremental_accuracy([[1.0, 0.0], [0.5, 0.8]], [30, 10])
    0.7875

    Args:
        matrix: R [T, T], fractions.
        images: n [T], test images of each task.

    Raises:
        ValueError: ``images`` has not one count a task.
    """
    values, counts = as_matrix(matrix), np.asarray(images)
    if counts.shape != (len(values),):
        raise ValueError(f"expected one count for each of {len(values)} tasks, got {counts}")
    return mean_of(
        sample_weighted_accuracy(values[:last, :last], counts[:last])
        for last in range(1, len(values) + 1)
    )

"""Final accuracy where every test image weighs the same, instead of every task."""

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, as_matrix, lacking


def sample_weighted_accuracy(matrix: ArrayLike, images: ArrayLike) -> float | Undefined:
    """Σ n_j R_Tj / Σ n_j; that of Avalanche's stream accuracy over the whole test stream.

    Args:
        matrix: R [T, T], fractions.
        images: n [T], test images of each task.

    Raises:
        ValueError: ``images`` has not one count a task.

    >>> sample_weighted_accuracy([[1.0, 0.0], [0.5, 1.0]], [100, 300])
    0.875
    """
    values, counts = as_matrix(matrix), np.asarray(images, dtype=np.float64)
    if counts.shape != (len(values),) or np.any(counts < 0):
        raise ValueError(f"expected one count for each of {len(values)} tasks, got {counts}")
    last = len(values) - 1
    weighed = [task for task in range(len(values)) if counts[task]]
    if not weighed:
        return Undefined("there are no test images")
    undefined = lacking(values, ((last, task) for task in weighed))
    return undefined or float(values[last, weighed] @ counts[weighed] / counts.sum())

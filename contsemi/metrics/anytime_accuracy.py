"""Anytime accuracy: how good the learner was at any time of the stream, not at its end alone."""

import numpy as np

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.trajectory import Trajectory


def anytime_accuracy(trajectory: Trajectory) -> float | Undefined:
    """The mean over evaluations of the mean accuracy on the tasks seen so far (AAA).

    Every evaluation weighs the same; a task is seen from the beginning of its training on.

    Args:
        trajectory: evaluations while the stream was learned.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> anytime_accuracy(as_trajectory([1, 2], [0, 1], [[0.8, 0], [0.5, 0.9]]))
    0.75
    """
    means = []
    for index in range(len(trajectory)):
        for task in range(int(trajectory.training[index]) + 1):
            undefined = trajectory.lacking(task, np.array([index]))
            if undefined:
                return undefined
        means.append(trajectory.accuracy[index, : trajectory.training[index] + 1].mean())
    return float(np.mean(means))

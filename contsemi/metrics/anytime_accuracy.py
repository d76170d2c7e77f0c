"""Anytime accuracy: how good the learner was at any time of the stream, not at its end alone."""

import numpy as np

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.trajectory import Trajectory

__all__ = ["anytime_accuracy", "learning_curve_area"]


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


def learning_curve_area(trajectory: Trajectory, *, evaluations: int) -> float | Undefined:
    """LCA: the mean of the first accuracies on each new task, over tasks (Chaudhry et al. 2019).

    There β mini-batches, measured after each; here as many evaluations, however far apart.

    Args:
        trajectory: evaluations while the stream was learned.
        evaluations: β + 1, how many of each task count.

    Raises:
        ValueError: ``evaluations`` is not positive.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> learning_curve_area(as_trajectory([0, 1], [0, 0], [[0.2], [0.6]]), evaluations=2)
    0.4
    """
    if evaluations < 1:
        raise ValueError(f"evaluations must be positive, got {evaluations}")
    areas = []
    for task in range(trajectory.last_task + 1):
        first = trajectory.while_training(task)[:evaluations]
        if first.size < evaluations:
            return Undefined(f"task {task + 1} was evaluated {first.size} times while it trained")
        undefined = trajectory.lacking(task, first)
        if undefined:
            return undefined
        areas.append(trajectory.accuracy[first, task].mean())
    return float(np.mean(areas))

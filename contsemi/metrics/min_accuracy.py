"""The worst that a learner was, between the evaluations at the ends of tasks too."""

import numpy as np

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.trajectory import Trajectory


def min_accuracy(trajectory: Trajectory) -> float | Undefined:
    """min-ACC: the mean over the earlier tasks of their lowest accuracy since they were learned.

    (1/(k − 1)) Σ_{j<k} min over evaluations after the end of task j of A_j, k the last task
    trained (De Lange, van de Ven and Tuytelaars, ICLR 2023).

    Args:
        trajectory: evaluations while the stream was learned.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> min_accuracy(as_trajectory([1, 2, 3], [0, 1, 1], [[0.8, 0], [0.5, 0.6], [0.7, 0.9]]))
    0.5
    """
    last = trajectory.last_task
    if not last:
        return Undefined("a stream of one task has no earlier task to fall")
    lowest = []
    for task in range(last):
        if trajectory.end_of(task) is None:
            return Undefined(f"task {task + 1} was not learned before task {last + 1}")
        later = np.flatnonzero(trajectory.training > task)
        undefined = trajectory.lacking(task, later)
        if undefined:
            return undefined
        lowest.append(trajectory.accuracy[later, task].min())
    return float(np.mean(lowest))


def worst_case_accuracy(trajectory: Trajectory) -> float | Undefined:
    """WC-ACC: (1/k) A_k + (1 − 1/k) min-ACC, A_k the last accuracy on the newest task.

    A lower bound of what the learner was worth at any time (De Lange et al. 2023).

    Args:
        trajectory: evaluations while the stream was learned.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> worst_case_accuracy(as_trajectory([1, 2, 3], [0, 1, 1], [[0.8, 0], [0.5, 0.6], [0.7, 1]]))
    0.75
    """
    last = trajectory.last_task
    end = np.array([len(trajectory) - 1])
    undefined = trajectory.lacking(last, end)
    if undefined:
        return undefined
    newest = float(trajectory.accuracy[-1, last])
    if not last:
        return newest
    lowest = min_accuracy(trajectory)
    if isinstance(lowest, Undefined):
        return lowest
    return newest / (last + 1) + (1 - 1 / (last + 1)) * lowest

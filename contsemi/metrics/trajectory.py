"""Accuracies measured while a stream is learned: the curve of each task over optimiser steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contsemi.metrics.matrix import Undefined


@dataclass(frozen=True, slots=True)
class Trajectory:
    """N evaluations of T tasks, in order of time; the last of each task is taken at its end.

    Attributes:
        steps: int64 [N], optimiser steps done since the start of the run; never falls.
        training: int64 [N], index from 0 of the task that was trained then; never falls.
        accuracy: float64 [N, T], fractions; NaN where not measured.
    """

    steps: NDArray[np.int64]
    training: NDArray[np.int64]
    accuracy: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def tasks(self) -> int:
        """T."""
        return int(self.accuracy.shape[1])

    @property
    def last_task(self) -> int:
        """The task of the last evaluation, from 0."""
        return int(self.training[-1])

    def while_training(self, task: int) -> NDArray[np.intp]:
        """The evaluations during one task, its end included."""
        return np.flatnonzero(self.training == task)

    def end_of(self, task: int) -> int | None:
        """The last evaluation of a task; ``None`` where there is none."""
        found = self.while_training(task)
        return int(found[-1]) if found.size else None

    def lacking(self, test_task: int, evaluations: NDArray[np.intp]) -> Undefined | None:
        """The reason why a metric of these evaluations is undefined, or ``None``."""
        if not evaluations.size:
            return Undefined(f"task {test_task + 1} was not evaluated after it was learned")
        gone = evaluations[np.isnan(self.accuracy[evaluations, test_task])]
        if gone.size:
            return Undefined(f"task {test_task + 1} was not measured at step {self.steps[gone[0]]}")
        return None


def as_trajectory(steps: ArrayLike, training: ArrayLike, accuracy: ArrayLike) -> Trajectory:
    """A trajectory whose shapes and order are checked.

    Args:
        steps: [N], N ≥ 1.
        training: [N].
        accuracy: [N, T], T ≥ 1.

    Raises:
        ValueError: shapes differ, time runs backwards, or an accuracy is no fraction.

    >>> as_trajectory([5, 9], [0, 0], [[0.25], [0.5]]).accuracy
    array([[0.25],
           [0.5 ]])
    """
    when, tasks = np.asarray(steps, dtype=np.int64), np.asarray(training, dtype=np.int64)
    values = np.asarray(accuracy, dtype=np.float64)
    if values.ndim != 2 or not values.size or not len(when) == len(tasks) == len(values):
        raise ValueError(
            f"a trajectory is [N], [N] and [N, T] with N, T ≥ 1, got {list(when.shape)}, "
            f"{list(tasks.shape)} and {list(values.shape)}"
        )
    if (np.diff(when) < 0).any() or (np.diff(tasks) < 0).any():
        raise ValueError("evaluations must be in order of time")
    if tasks[0] < 0 or tasks[-1] >= values.shape[1]:
        raise ValueError(f"training names a task outside [0, {values.shape[1]})")
    if np.any((values < 0) | (values > 1)):
        raise ValueError("accuracies are fractions in [0, 1]; are these percentages?")
    return Trajectory(when, tasks, values)

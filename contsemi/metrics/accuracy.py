"""Accuracy on each test task, class-incremental and task-incremental from the same scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contsemi.errors import Diverged

Integers = NDArray[np.integer]


def accuracy_per_task(
    predicted: Integers, targets: Integers, task_of_sample: Integers, *, tasks: int
) -> NDArray[np.float64]:
    """Share of right predictions on each task.

    Args:
        predicted: [N], predicted columns.
        targets: [N], true columns.
        task_of_sample: [N], the test task of each image, in [0, tasks).
        tasks: T.

    Returns:
        [T], fractions; NaN for a task without an image.

    >>> accuracy_per_task(np.array([0, 1, 2]), np.array([0, 1, 3]), np.array([0, 0, 1]), tasks=2)
    array([1., 0.])
    """
    images = np.bincount(task_of_sample, minlength=tasks)
    right = np.bincount(task_of_sample[predicted == targets], minlength=tasks)
    return np.where(images > 0, right / np.maximum(images, 1), np.nan)


def accuracy_rows(
    scores: NDArray[np.floating],
    targets: Integers,
    task_of_sample: Integers,
    *,
    columns: Sequence[Sequence[int]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One row of each accuracy matrix, from one pass over the test images.

    Class-incremental takes the greatest of all scores, task-incremental the greatest among the
    columns of the image's own task. A tie goes to the lowest column.

    Args:
        scores: [N, C], scores over the columns seen so far.
        targets: [N], true columns.
        task_of_sample: [N], the test task of each image.
        columns: the columns of each of the T test tasks; a task of which a column is not among
            the C seen ones is not measured. Its images may be left out of ``scores``.

    Returns:
        class-incremental [T] and task-incremental [T]; NaN where not measured.

    Raises:
        Diverged: a score is not a number.

    >>> scores = np.array([[0.4, 0.1, 0.5], [0.1, 0.1, 0.8]])
    >>> accuracy_rows(scores, np.array([0, 2]), np.array([0, 1]), columns=[(0, 1), (2,)])
    (array([0., 1.]), array([1., 1.]))
    """
    if np.isnan(scores).any():
        fix = "lower optim.lr, or mend a predictor of your own"
        raise Diverged(f"the scores of test images are not numbers; {fix}")
    num_seen = scores.shape[1]
    seen = np.array([bool(task) and max(task) < num_seen for task in columns], dtype=bool)
    kept = seen[task_of_sample]
    scores, targets, task_of_sample = scores[kept], targets[kept], task_of_sample[kept]
    class_row, task_row = (
        accuracy_per_task(predicted, targets, task_of_sample, tasks=len(columns))
        for predicted in (scores.argmax(axis=1), within_task(scores, task_of_sample, columns))
    )
    return class_row, task_row


def within_task(
    scores: NDArray[np.floating], task_of_sample: Integers, columns: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """The best column [N] among those of each image's own task; see :func:`accuracy_rows`.

    >>> within_task(np.array([[0.4, 0.1, 0.5]]), np.array([0]), columns=[(0, 1), (2,)])
    array([0])
    """
    own = np.zeros((len(columns), scores.shape[1]), dtype=bool)
    for task, listed in enumerate(columns):
        own[task, [column for column in listed if column < scores.shape[1]]] = True
    best: NDArray[np.int64] = np.where(own[task_of_sample], scores, -np.inf).argmax(axis=1)
    return best

"""Accuracy on each class after each task, from the answers of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.answers import Answered


@dataclass(frozen=True, slots=True, eq=False)
class ByClass:
    """Accuracies by class.

    Attributes:
        tasks: [A], tasks from 0 after which there are answers.
        accuracy: [C, A], class-incremental, fractions; NaN where a class was not asked for.
        arrival: int64 [C], index into ``tasks`` of the first that asked for the class.
        images: int64 [C], test images of each class at the end.
    """

    tasks: tuple[int, ...]
    accuracy: NDArray[np.float64]
    arrival: NDArray[np.int64]
    images: NDArray[np.int64]


def by_class(answers: Mapping[int, Answered]) -> ByClass:
    """The share of each class's test images that is right after each task.

    >>> none = np.zeros(0)
    >>> two = Answered(none, np.array([0, 0, 1]), np.array([0, 1, 1]), none, none, none)
    >>> by_class({0: two}).accuracy[:, 0].tolist()
    [0.5, 1.0]

    Args:
        answers: task from 0 -> answers after it.
    """
    tasks = tuple(sorted(answers))
    classes = 1 + max((int(answers[t].targets.max(initial=-1)) for t in tasks), default=-1)
    right, images = (np.zeros((classes, len(tasks))) for _ in range(2))
    for place, task in enumerate(tasks):
        each = answers[task]
        images[:, place] = np.bincount(each.targets, minlength=classes)
        right[:, place] = np.bincount(
            each.targets[each.predicted == each.targets], minlength=classes
        )
    accuracy = np.divide(right, images, out=np.full_like(right, np.nan), where=images > 0)
    arrival = np.argmax(images > 0, axis=1) if tasks else np.zeros(classes, np.int64)
    last = images[:, -1] if tasks else np.zeros(classes)
    return ByClass(tasks, accuracy, arrival.astype(np.int64), last.astype(np.int64))

"""Which class is taken for which, and the accuracy of each class."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["accuracy_per_class", "confusion_matrix"]

Integers = NDArray[np.integer]


def confusion_matrix(predicted: Integers, targets: Integers, *, classes: int) -> NDArray[np.int64]:
    """Counts of images by true class (row) and predicted class (column).

    Args:
        predicted: [N], predicted columns.
        targets: [N], true columns.
        classes: C, columns.

    Returns:
        int64 [C, C].

    Raises:
        ValueError: lengths differ, or a column is outside [0, C).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), classes=2)
    array([[1, 1],
           [0, 1]])
    """
    if len(predicted) != len(targets):
        raise ValueError(f"{len(predicted)} predictions of {len(targets)} images")
    for name, columns in (("prediction", predicted), ("target", targets)):
        if len(columns) and not 0 <= columns.min() <= columns.max() < classes:
            raise ValueError(f"a {name} is outside [0, {classes})")
    counts = np.bincount(
        np.asarray(targets, dtype=np.int64) * classes + predicted, minlength=classes * classes
    )
    return counts.reshape(classes, classes).astype(np.int64)


def accuracy_per_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each class's images that are right.

    Args:
        confusion: [C, C], of :func:`confusion_matrix`.

    Returns:
        [C], fractions; NaN for a class without an image.

    >>> accuracy_per_class(np.array([[1, 1], [0, 4]]))
    array([0.5, 1. ])
    """
    images = confusion.sum(axis=1)
    return np.where(images > 0, confusion.diagonal() / np.maximum(images, 1), np.nan)

"""Which class is taken for which."""

import numpy as np
from numpy.typing import NDArray

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

"""What a choice of images to label covers: classes, and the space of embeddings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelCoverage:
    """How labels are spread over the classes of a task.

    Attributes:
        covered: share of the classes that have a label, in [0, 1]; nan without classes.
        least: labels of the class with the fewest, 0 included.
        most: labels of the class with the most.
    """

    covered: float
    least: int
    most: int


def label_coverage(labels: NDArray[np.integer], columns: NDArray[np.integer]) -> LabelCoverage:
    """Counts the labels of each class.

    Args:
        labels: [n], columns of the labelled images.
        columns: [C], those of all classes that were to be covered.

    >>> label_coverage(np.array([3, 3, 5]), np.array([3, 4, 5, 6]))
    LabelCoverage(covered=0.5, least=0, most=2)
    """
    if not len(columns):
        return LabelCoverage(float("nan"), 0, 0)
    counts = (np.asarray(labels)[:, None] == np.asarray(columns)).sum(axis=0)
    return LabelCoverage(float((counts > 0).mean()), int(counts.min()), int(counts.max()))


def labelled_distance(embeddings: NDArray[np.floating], labelled: NDArray[np.floating]) -> float:
    """Mean Euclidean distance of images to the nearest labelled one.

    Args:
        embeddings: [N, D] of all images.
        labelled: [n, D] of the labelled ones.

    Returns:
        At least 0; nan if there are no images, infinite if none is labelled.

    >>> labelled_distance(np.array([[0.0], [4.0]]), np.array([[1.0]]))
    2.0
    """
    if not len(embeddings):
        return float("nan")
    if not len(labelled):
        return float("inf")
    from scipy.spatial.distance import cdist

    step = max(1, 16_000_000 // len(labelled))
    pieces = range(0, len(embeddings), step)
    nearest = [cdist(embeddings[at : at + step], labelled).min(axis=1) for at in pieces]
    return float(np.concatenate(nearest).mean())

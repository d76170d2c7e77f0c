"""Accuracy of clusters on classes that had labels and on those that never had one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class NovelAccuracy:
    """Share of images whose cluster is matched to their class.

    Attributes:
        all: of all images.
        old: of images of classes that had labels; nan if there are none.
        new: of the others; nan if there are none.
    """

    all: float
    old: float
    new: float


def _counts(clusters: Integers, labels: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    if len(clusters) != len(labels):
        raise ValueError(f"{len(clusters)} images in clusters, {len(labels)} labels")
    found, cluster = np.unique(clusters, return_inverse=True)
    known, column = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(found), len(known)), dtype=np.int64)
    np.add.at(counts, (cluster, column), 1)
    return counts, cluster, known, column


def matched_classes(clusters: Integers, labels: Integers) -> NDArray[np.int64]:
    """The class that the cluster of each image is matched to, one class a cluster at most.

    Args:
        clusters: [N].
        labels: [N], true columns, at least 0.

    Returns:
        [N] columns; -1 where a cluster is left without a class.

    Raises:
        ValueError: lengths differ.

    Source: Kuhn 1955 (the assignment).

    >>> matched_classes(np.array([7, 7, 3]), np.array([0, 0, 1])).tolist()
    [0, 0, 1]
    """
    from scipy.optimize import linear_sum_assignment

    counts, cluster, known, _ = _counts(clusters, labels)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    names = np.full(len(counts), -1, dtype=np.int64)
    names[rows] = known[columns]
    return names[cluster]


def novel_accuracy(clusters: Integers, labels: Integers, old: NDArray[np.bool_]) -> NovelAccuracy:
    """Accuracies under the best one-to-one matching of clusters to classes, one of all images.

    Args:
        clusters: [N].
        labels: [N], true columns, at least 0.
        old: [N], whether the class of the image had labels.

    Returns:
        Shares in [0, 1]; nan where there is no image.

    Raises:
        ValueError: lengths differ.

    Source: Vaze et al. 2022, section 3.2; Zhang et al. 2023, section 4.1 (its v2).

    >>> novel_accuracy(np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]) > 0)
    NovelAccuracy(all=0.75, old=1.0, new=0.5)
    """
    if len(old) != len(labels):
        raise ValueError(f"{len(labels)} labels, {len(old)} marks of old classes")
    right = matched_classes(clusters, labels) == labels

    def share(rows: NDArray[np.bool_]) -> float:
        return float(rows.mean()) if len(rows) else float("nan")

    # By class: one that is marked both ways counts in both.
    known, new = (np.isin(labels, labels[rows]) for rows in (old, ~old))
    return NovelAccuracy(share(right), share(right[known]), share(right[new]))


def purity(clusters: Integers, labels: Integers) -> float:
    """Share of images of the commonest class of their cluster; nan without images.

    Args:
        clusters: [N].
        labels: [N].

    Raises:
        ValueError: lengths differ.

    >>> purity(np.array([0, 0, 1, 1]), np.array([5, 5, 5, 6]))
    0.75
    """
    counts = _counts(clusters, labels)[0]
    return float(counts.max(axis=1).sum() / len(labels)) if len(labels) else float("nan")

"""Clusters against classes by pairs of images: are two of a class together, and only these?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairScores", "pair_scores"]


@dataclass(frozen=True, slots=True)
class PairScores:
    """Shares of pairs of different images.

    Attributes:
        recall: of the pairs of one class, those in one cluster; nan without such a pair.
        precision: of the pairs in one cluster, those of one class; nan without such a pair.
    """

    recall: float
    precision: float


def pair_scores(clusters: NDArray[np.integer], labels: NDArray[np.integer]) -> PairScores:
    """Counts pairs through the table of clusters and classes, never one by one.

    Args:
        clusters: [N].
        labels: [N].

    Raises:
        ValueError: lengths differ.

    >>> pair_scores(np.array([0, 0, 0]), np.array([1, 1, 2]))
    PairScores(recall=1.0, precision=0.3333333333333333)
    """
    if len(clusters) != len(labels):
        raise ValueError(f"{len(clusters)} images in clusters, {len(labels)} labels")

    def pairs(*columns: NDArray[np.integer]) -> int:
        counts = np.unique(np.stack(columns), axis=1, return_counts=True)[1]
        return int((counts * (counts - 1) // 2).sum())

    both = pairs(clusters, labels)

    def share(of: int) -> float:
        return both / of if of else float("nan")

    return PairScores(recall=share(pairs(labels)), precision=share(pairs(clusters)))

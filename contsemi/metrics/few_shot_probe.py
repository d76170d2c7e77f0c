"""Few-shot episodes on frozen features: new classes from a handful of images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.knn_probe import unit_rows
from contsemi.metrics.matrix import Undefined

__all__ = ["FewShot", "few_shot_accuracy"]


@dataclass(frozen=True, slots=True)
class FewShot:
    """Accuracy over episodes.

    Attributes:
        mean: mean accuracy of the episodes.
        half_width: half the 95% interval of that mean, 1.96 s / √episodes.
        episodes: their number.
    """

    mean: float
    half_width: float
    episodes: int


def few_shot_accuracy(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    ways: int,
    shots: int,
    queries: int,
    episodes: int,
    seed: int,
) -> FewShot | Undefined:
    """Nearest class mean by cosine, over random episodes (Snell et al. 2017, on fixed features).

    Each episode draws classes, then different images of each for the means and for the queries.

    Args:
        features: [N, D].
        labels: [N], columns.
        ways: classes of an episode.
        shots: images of each class that make its mean.
        queries: images of each class that are asked.
        episodes: at least two.
        seed: of the draws.

    Raises:
        ValueError: a count is too small.

    >>> rows, labels = np.eye(2).repeat(4, 0), np.arange(2).repeat(4)
    >>> few_shot_accuracy(rows, labels, ways=2, shots=1, queries=2, episodes=3, seed=0).mean
    1.0
    """
    if min(ways, episodes) < 2 or min(shots, queries) < 1:
        raise ValueError("episodes need two ways, one shot, one query, and there must be two")
    rows = unit_rows(features)
    members = [np.flatnonzero(labels == column) for column in np.unique(labels)]
    able = [found for found in members if len(found) >= shots + queries]
    if len(able) < ways:
        return Undefined(
            f"{ways} classes with {shots + queries} images each are needed, there are {len(able)}"
        )
    draw = np.random.default_rng(seed)
    truth = np.repeat(np.arange(ways), queries)
    scores = np.empty(episodes)
    for episode in range(episodes):
        classes = draw.choice(len(able), ways, replace=False)
        drawn = np.stack(
            [draw.choice(able[column], shots + queries, replace=False) for column in classes]
        )
        means = unit_rows(rows[drawn[:, :shots]].mean(axis=1))
        asked = rows[drawn[:, shots:].reshape(-1)]
        scores[episode] = ((asked @ means.T).argmax(axis=1) == truth).mean()
    half = 1.96 * scores.std(ddof=1) / np.sqrt(episodes)
    return FewShot(float(scores.mean()), float(half), episodes)

"""Few-shot episodes on frozen features: new classes from a handful of images."""

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.few_shot_episodes import FewShot, draw_episodes
from contsemi.metrics.knn_probe import unit_rows
from contsemi.metrics.matrix import Undefined

__all__ = ["few_shot_accuracy"]


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
    drawn = draw_episodes(
        labels, ways=ways, shots=shots, queries=queries, episodes=episodes, seed=seed
    )
    if isinstance(drawn, Undefined):
        return drawn
    rows, truth = unit_rows(features), np.repeat(np.arange(ways), queries)
    scores = np.empty(episodes)
    for episode, (support, query) in enumerate(zip(drawn.support, drawn.query, strict=True)):
        means = unit_rows(rows[support.T].mean(axis=1))
        scores[episode] = ((rows[query.T.reshape(-1)] @ means.T).argmax(axis=1) == truth).mean()
    half = 1.96 * scores.std(ddof=1) / np.sqrt(episodes)
    return FewShot(float(scores.mean()), float(half), episodes)

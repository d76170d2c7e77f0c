"""The published few-shot protocol: the same episodes for every method, and an interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.knn_probe import unit_rows
from contsemi.metrics.matrix import Undefined

SIMILARITIES = ("sns", "dot", "cosine", "euclidean")
CHUNK = 64  # episodes that are scored at a time
Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class FewShot:
    """Accuracy over episodes.

    Attributes:
        mean: mean accuracy of the episodes.
        half_width: half the 95% interval of that mean.
        episodes: their number.
    """

    mean: float
    half_width: float
    episodes: int


@dataclass(frozen=True, slots=True)
class Episodes:
    """Rows of images; they depend on the labels and the seed alone.

    Attributes:
        support: int64 [E, shots, ways].
        query: int64 [E, queries, ways].
    """

    support: NDArray[np.int64]
    query: NDArray[np.int64]


def draw_episodes(
    labels: NDArray[np.integer], *, ways: int, shots: int, queries: int, episodes: int, seed: int
) -> Episodes | Undefined:
    """Draws classes for each episode, then different images of each to support and to ask.

    Args:
        labels: [N], columns; of classes that nothing was trained on.
        ways: classes of an episode.
        shots: images of each that support.
        queries: images of each that ask.
        episodes: their number.
        seed: of the draws.

    Raises:
        ValueError: a number below one.

    Source: Ye, Han and Zhan 2022, section 6.1; Vinyals et al. 2016.

    >>> draw_episodes(np.arange(8) // 4, ways=2, shots=1, queries=2, episodes=3, seed=0).query.shape
    (3, 2, 2)
    """
    if min(ways, shots, queries, episodes) < 1:
        raise ValueError("an episode needs one way, one shot and one query at least")
    members = [np.flatnonzero(labels == column) for column in np.unique(labels)]
    able = [found for found in members if len(found) >= shots + queries]
    if len(able) < ways:
        return Undefined(
            f"{ways} classes with {shots + queries} images each are needed, there are {len(able)}"
        )
    draw = np.random.default_rng(seed)
    rows = np.empty((episodes, shots + queries, ways), dtype=np.int64)
    for episode in rows:
        for way, column in enumerate(draw.choice(len(able), ways, replace=False)):
            episode[:, way] = draw.choice(able[column], shots + queries, replace=False)
    return Episodes(rows[:, :shots], rows[:, shots:])


def episode_scores(features: Floats, episodes: Episodes, *, similarity: str = "sns") -> Floats:
    """Scores of the queries by the mean supports of their episode.

    Args:
        features: [N, D].
        episodes: E of them.
        similarity: ``sns`` has unit prototypes and queries as they are (which of the classes is
            greatest is then that of ``cosine``), ``dot`` neither unit, ``euclidean`` minus the
            squared distance.

    Returns:
        [E, queries * ways, ways], ways fastest.

    Raises:
        ValueError: another similarity.

    >>> one = Episodes(np.array([[[0, 1]]]), np.array([[[0, 1]]]))
    >>> episode_scores(np.eye(2), one, similarity="dot").tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity is one of {', '.join(SIMILARITIES)}, not {similarity!r}")
    asked = features[episodes.query.reshape(len(episodes.query), -1)]
    means = features[episodes.support].mean(axis=1)
    if similarity == "euclidean":
        squared: Floats = np.square(asked[:, :, None] - means[:, None]).sum(axis=3)
        return -squared
    if similarity != "dot":
        means = unit_rows(means.reshape(-1, means.shape[2])).reshape(means.shape)
    if similarity == "cosine":
        asked = unit_rows(asked.reshape(-1, asked.shape[2])).reshape(asked.shape)
    scores: Floats = asked @ means.transpose(0, 2, 1)
    return scores


def episode_interval(accuracies: Floats) -> FewShot:
    """Mean of the episodes with the published interval, 1.96 population deviations / √E.

    Args:
        accuracies: [E], E > 0.

    >>> episode_interval(np.array([0.5, 0.5]))
    FewShot(mean=0.5, half_width=0.0, episodes=2)
    """
    half = 1.96 * accuracies.std() / np.sqrt(len(accuracies))
    return FewShot(float(accuracies.mean()), float(half), len(accuracies))


def episode_accuracy(features: Floats, episodes: Episodes, *, similarity: str = "sns") -> FewShot:
    """Accuracy of the nearest prototype over all episodes.

    Args:
        features: [N, D].
        episodes: as :func:`draw_episodes` gives them.
        similarity: of :func:`episode_scores`.

    >>> one = Episodes(np.array([[[0, 1]]]), np.array([[[0, 1]]]))
    >>> episode_accuracy(np.eye(2), one)
    FewShot(mean=1.0, half_width=0.0, episodes=1)
    """
    ways, queries = episodes.query.shape[2], episodes.query.shape[1]
    right = np.tile(np.arange(ways), queries)
    found = np.empty(len(episodes.query))
    for at in range(0, len(found), CHUNK):
        span = slice(at, at + CHUNK)
        part = Episodes(episodes.support[span], episodes.query[span])
        best = episode_scores(features, part, similarity=similarity).argmax(axis=2)
        found[span] = (best == right).mean(axis=1)
    return episode_interval(found)

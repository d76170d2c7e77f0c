"""Few-shot episodes by the published protocol, against the official arrays."""

from pathlib import Path

import numpy as np
import pytest

from contsemi.metrics.few_shot_episodes import (
    Episodes,
    draw_episodes,
    episode_accuracy,
    episode_interval,
    episode_scores,
)
from contsemi.metrics.matrix import Undefined

FOLDER = Path(__file__).parents[1] / "reference" / "parts"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("uml_eval_*.npz")), ids=lambda path: path.stem)
def test_official_episodes(path):
    with np.load(path, allow_pickle=False) as file:
        data = dict(file)
    accuracies = []
    for episode, features in enumerate(data["embeddings"]):
        one = slice(episode, episode + 1)
        given = Episodes(data["support_index"][one], data["query_index"][one])
        similarity = str(data["similarity"])
        scores = episode_scores(features, given, similarity=similarity)[0]
        tolerance = 1e-9 if data["logits"].dtype == np.float64 else 1e-4
        np.testing.assert_allclose(scores, data["logits"][episode], rtol=tolerance, atol=tolerance)
        assert (data["labels"] == np.tile(np.arange(int(data["way"])), int(data["query"]))).all()
        found = episode_accuracy(features, given, similarity=similarity)
        accuracies.append(found.mean)
        assert 100 * found.mean == pytest.approx(data["accuracy_percent"][episode], rel=1e-6)
    interval = episode_interval(np.array(accuracies))
    assert 100 * interval.mean == pytest.approx(data["mean_accuracy"], rel=1e-6)
    assert 100 * interval.half_width == pytest.approx(data["half_interval_95"], rel=1e-6)


def test_episodes_depend_on_labels_and_seed_alone():
    labels = np.arange(60) // 10
    given = {"ways": 5, "shots": 2, "queries": 3, "episodes": 40}
    one, two, other = (draw_episodes(labels, **given, seed=seed) for seed in (1, 1, 2))
    assert (one.support == two.support).all() and (one.query == two.query).all()
    assert (one.query != other.query).any()
    rows = np.concatenate([one.support, one.query], axis=1)
    assert (labels[rows] == labels[rows[:, :1]]).all()
    assert all(len(np.unique(episode)) == 25 for episode in rows)
    assert all(len(np.unique(episode)) == 5 for episode in labels[rows[:, 0]])


def test_too_few_classes_or_images():
    given = {"shots": 2, "queries": 3, "episodes": 4, "seed": 0}
    found = draw_episodes(np.arange(20) // 4, ways=2, **given)
    assert isinstance(found, Undefined) and "there are 0" in found.reason
    with pytest.raises(ValueError, match="one way"):
        draw_episodes(np.arange(3), ways=0, **given)


def test_separated_classes_are_all_right_and_noise_is_chance():
    labels = np.arange(200) // 20
    given = {"ways": 5, "shots": 1, "queries": 5, "episodes": 300, "seed": 0}
    episodes = draw_episodes(labels, **given)
    for similarity in ("sns", "cosine", "euclidean"):
        found = episode_accuracy(np.eye(10)[labels], episodes, similarity=similarity)
        assert (found.mean, found.half_width, found.episodes) == (1.0, 0.0, 300)
    noise = np.random.default_rng(0).normal(size=(200, 16))
    found = episode_accuracy(noise, episodes)
    assert abs(found.mean - 0.2) < 3 * found.half_width < 0.1
    with pytest.raises(ValueError, match="one of sns"):
        episode_accuracy(noise, episodes, similarity="angle")

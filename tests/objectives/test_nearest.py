"""Nearest labelled image, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from contsemi.objectives.nearest import Nearest
from contsemi.types import Experience, Outputs

NONE = torch.empty(0, dtype=torch.int64)


def made(num_seen):
    objective = Nearest()
    columns = tuple(range(num_seen))
    objective.begin(Experience(0, columns, 0, num_seen, NONE, NONE, NONE))
    return objective


def test_predictions_equal_scikit_learn():
    draw = np.random.default_rng(0)
    rows, queries = draw.normal(size=(40, 7)), draw.normal(size=(60, 7))
    labels = draw.integers(0, 5, 40)
    scores = made(5).predict(
        Outputs(torch.from_numpy(queries)),
        (Outputs(torch.from_numpy(rows)), torch.from_numpy(labels)),
    )
    oracle = KNeighborsClassifier(1).fit(rows, labels)
    np.testing.assert_array_equal(scores.argmax(1), oracle.predict(queries))
    distances = np.linalg.norm(queries[:, None] - rows, axis=2)
    expected = np.stack([-distances[:, labels == c].min(1) for c in range(5)], axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_a_class_without_an_image_is_never_predicted_and_stays_finite():
    rows, labels = torch.randn(3, 4), torch.tensor([0, 2, 2])
    scores = made(4).predict(Outputs(torch.randn(8, 4) * 100), (Outputs(rows), labels))
    assert scores.shape == (8, 4)
    assert scores.isfinite().all()
    assert set(scores.argmax(1).tolist()) <= {0, 2}


def test_nothing_is_trained(make_step):
    objective = made(2)
    assert not objective.needs.trains
    assert list(objective.parameters()) == []
    assert objective.terms(make_step()) == {}


def test_it_cannot_predict_from_nothing():
    with pytest.raises(RuntimeError, match="needs exemplars"):
        made(2).predict(Outputs(torch.zeros(1, 2)), None)

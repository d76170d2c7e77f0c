import numpy as np
import pytest

from contsemi.metrics.hierarchy import coarse_accuracy, distance_of_mistakes
from contsemi.metrics.matrix import Undefined

COARSE = np.array([0, 0, 1, 1, -1])
TOP = np.array([0, 0, 0, 0, 1])


def test_coarse_accuracy():
    predicted, targets = np.array([0, 1, 2, 4, 0]), np.array([0, 0, 0, 3, 4])
    assert coarse_accuracy(predicted, targets, COARSE) == 2 / 4  # the last one's is unknown
    assert isinstance(coarse_accuracy(predicted[4:], targets[4:], COARSE), Undefined)


@pytest.mark.parametrize(
    ("predicted", "target", "distance"), [(1, 0, 1), (2, 0, 2), (4, 0, 3), (0, 4, 3)]
)
def test_distance_of_one_mistake(predicted, target, distance):
    right = np.array([3])  # does not count
    found = distance_of_mistakes(
        np.append(right, predicted), np.append(right, target), [COARSE, TOP]
    )
    assert found == distance


def test_no_mistake():
    assert isinstance(distance_of_mistakes(np.arange(3), np.arange(3), [COARSE]), Undefined)

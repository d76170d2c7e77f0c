"""What an accuracy matrix may be, and the reasons of undefined metrics."""

import numpy as np
import pytest

from contsemi.metrics.matrix import Undefined, as_matrix, lacking


@pytest.mark.parametrize("wrong", [[], [0.5], [[0.5, 0.1]], np.zeros((0, 0)), np.zeros((1, 1, 1))])
def test_must_be_square(wrong):
    with pytest.raises(ValueError, match=r"\[T, T\]"):
        as_matrix(wrong)


@pytest.mark.parametrize("wrong", [[[98.6]], [[-0.1]], [[np.inf]]])
def test_must_be_fractions(wrong):
    with pytest.raises(ValueError, match="fractions"):
        as_matrix(wrong)


def test_the_reason_counts_tasks_from_one():
    matrix = np.array([[0.5, np.nan], [0.5, 0.5]])
    assert lacking(matrix, [(1, 0)]) is None
    assert lacking(matrix, [(1, 0), (0, 1)]) == Undefined("task 2 was not measured after task 1")

"""Accuracy rows against scikit-learn and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from contsemi.errors import Diverged
from contsemi.metrics.accuracy import accuracy_per_task, accuracy_rows

SCORES = np.array([[0.9, 0.1, 0.5, 0.0], [0.2, 0.1, 0.3, 0.9], [0.0, 0.9, 0.2, 0.8]])


def test_rows_by_hand():
    """Image 1 loses to a column of the other task; image 2 loses in both readings."""
    class_row, task_row = accuracy_rows(
        SCORES, np.array([0, 0, 2]), np.array([0, 0, 1]), columns=[(0, 1), (2, 3)]
    )
    assert class_row.tolist() == [0.5, 0.0]
    assert task_row.tolist() == [1.0, 0.0]


def test_unseen_tasks_are_not_measured():
    class_row, task_row = accuracy_rows(
        SCORES[:, :2], np.array([0, 0, 2]), np.array([0, 0, 1]), columns=[(0, 1), (2, 3)]
    )
    assert class_row[0] == task_row[0] == 1.0
    assert np.isnan(class_row[1])
    assert np.isnan(task_row[1])


def test_task_without_images_is_not_measured():
    row = accuracy_per_task(np.array([1]), np.array([1]), np.array([2]), tasks=3)
    assert np.isnan(row[:2]).all()
    assert row[2] == 1.0


def test_scores_that_are_not_numbers():
    scores = SCORES.copy()
    scores[1, 1] = np.nan
    with pytest.raises(Diverged):
        accuracy_rows(scores, np.array([0, 0, 1]), np.zeros(3, dtype=int), columns=[(0, 1, 2, 3)])


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3))
def test_against_a_plain_loop(seed, tasks, classes_per_task):
    rng = np.random.default_rng(seed)
    order = rng.permutation(tasks * classes_per_task).reshape(tasks, classes_per_task)
    targets = rng.integers(0, order.size, 60)
    task_of_sample = np.array([int(np.argwhere(order == target)[0, 0]) for target in targets])
    scores = rng.normal(size=(60, order.size))
    scores[np.arange(60), targets] += 1
    class_row, task_row = accuracy_rows(scores, targets, task_of_sample, columns=order.tolist())
    for task in range(tasks):
        rows = np.flatnonzero(task_of_sample == task)
        if not rows.size:
            assert np.isnan(class_row[task])
            continue
        every = [max(range(order.size), key=lambda c, r=row: scores[r, c]) for row in rows]
        own = [max(order[task], key=lambda c, r=row: scores[r, c]) for row in rows]
        assert class_row[task] == pytest.approx(accuracy_score(targets[rows], every))
        assert task_row[task] == pytest.approx(accuracy_score(targets[rows], own))
        assert task_row[task] >= class_row[task]

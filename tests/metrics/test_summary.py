"""The metrics of the matrix: golden numbers, definitions, and what must hold for every matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.average_incremental_accuracy import average_incremental_accuracy
from contsemi.metrics.backward_transfer import backward_transfer
from contsemi.metrics.forgetting import forgetting, forgetting_per_task
from contsemi.metrics.forgetting_first_minus_last import forgetting_first_minus_last
from contsemi.metrics.forward_transfer import forward_transfer
from contsemi.metrics.learning_accuracy import learning_accuracy
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.summary import METRICS, summarise

GOLDEN = np.array([[0.5, 0.1, 0.1], [0.8, 0.7, 0.1], [0.6, 0.5, 0.9]])


def matrices(smallest: int = 1):
    """Lower triangles as a run measures them: NaN above the diagonal."""

    def triangle(tasks):
        cells = arrays(np.float64, (tasks, tasks), elements=st.floats(0, 1))
        return cells.map(lambda m: np.where(np.tri(tasks, dtype=bool), m, np.nan))

    return st.integers(smallest, 7).flatmap(triangle)


@pytest.mark.parametrize("matrix", [GOLDEN, np.where(np.tri(3, dtype=bool), GOLDEN, np.nan)])
def test_golden_numbers(matrix):
    assert summarise(matrix) == pytest.approx(
        {
            "average_accuracy": 2 / 3,
            "average_incremental_accuracy": (0.5 + 0.75 + 2 / 3) / 3,
            "forgetting": 0.2,
            "backward_transfer": -0.05,
            "learning_accuracy": 0.7,
            "forgetting_first_minus_last": 0.05,
            "relative_forgetting": (0.2 / 0.8 + 0.2 / 0.7) / 2,
        }
    )
    assert forgetting_first_minus_last(matrix) == pytest.approx(0.05)


def test_average_after_each_task():
    averages = [average_accuracy(GOLDEN, task) for task in range(3)]
    assert averages == pytest.approx([0.5, 0.75, 2 / 3])
    assert average_accuracy(GOLDEN) == averages[-1]
    with pytest.raises(IndexError):
        average_accuracy(GOLDEN, 3)


def test_forward_transfer():
    assert forward_transfer(GOLDEN, [0.1, 0.1, 0.1]) == pytest.approx(0)
    assert forward_transfer(GOLDEN, [np.nan, 0.0, 0.05]) == pytest.approx(0.075)
    with pytest.raises(ValueError, match="one baseline a task"):
        forward_transfer(GOLDEN, [0.1])
    lower = np.where(np.tri(3, dtype=bool), GOLDEN, np.nan)
    assert forward_transfer(lower, [0.1] * 3) == Undefined("task 2 was not measured after task 1")
    assert isinstance(forward_transfer(GOLDEN, [0.1, np.nan, 0.1]), Undefined)


def test_forgetting_is_the_max_and_may_be_negative():
    """The series .5, .8, .6 has forgotten .2, though it ends above where it began."""
    assert forgetting_per_task(GOLDEN)[:2] == pytest.approx([0.2, 0.2])
    assert np.isnan(forgetting_per_task(GOLDEN)[2])
    assert forgetting([[0.5, 0.0], [0.75, 1.0]]) == -0.25


def test_what_was_never_learned_is_not_forgotten():
    """Accuracy on a task before its turn is no part of its maximum."""
    lucky = GOLDEN.copy()
    lucky[0, 1] = 1.0
    assert forgetting(lucky) == pytest.approx(0.2)


def test_one_task_has_no_forgetting():
    answers = summarise([[0.5]])
    averages = ("average_accuracy", "average_incremental_accuracy", "learning_accuracy")
    undefined = {name for name, value in answers.items() if isinstance(value, Undefined)}
    assert undefined == {*METRICS} - {*averages}
    assert answers["average_accuracy"] == answers["learning_accuracy"] == 0.5
    assert isinstance(forward_transfer([[0.5]], [0.1]), Undefined)
    assert isinstance(forgetting_first_minus_last([[0.5]]), Undefined)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_missing_cell_is_never_a_number(metric):
    """Both cells of task 1 that every metric but learning accuracy reads."""
    for row in (0, 2) if metric is not learning_accuracy else (0,):
        holed = GOLDEN.copy()
        holed[row, 0] = np.nan
        if metric is average_accuracy and row == 0:
            continue
        assert metric(holed) == Undefined(f"task 1 was not measured after task {row + 1}")


def test_a_missing_middle_row_leaves_forgetting_of_the_rest():
    holed = GOLDEN.copy()
    holed[1, 0] = np.nan
    assert forgetting(holed) == pytest.approx((-0.1 + 0.2) / 2)
    assert isinstance(average_incremental_accuracy(holed), Undefined)


@given(st.integers(2, 8), st.floats(0, 1))
def test_constant_accuracy_forgets_nothing(tasks, accuracy):
    matrix = np.full((tasks, tasks), accuracy)
    assert forgetting(matrix) == 0
    assert backward_transfer(matrix) == 0
    assert forgetting_first_minus_last(matrix) == 0
    for metric in (average_accuracy, average_incremental_accuracy, learning_accuracy):
        assert metric(matrix) == pytest.approx(accuracy)


@given(matrices(smallest=2))
def test_forgetting_bounds_the_backward_transfer(matrix):
    assert -backward_transfer(matrix) <= forgetting(matrix) + 1e-12
    assert forgetting_first_minus_last(matrix) == -backward_transfer(matrix)


@given(matrices(), st.randoms(use_true_random=False))
def test_permutations(matrix, random):
    """Order within a row does not matter to its mean, nor order in time to the maximum."""
    last = list(matrix[-1])
    random.shuffle(last)
    assert average_accuracy(np.vstack([matrix[:-1], last])) == pytest.approx(
        average_accuracy(matrix)
    )
    shuffled = matrix.copy()
    for task in range(len(matrix) - 1):
        history = list(matrix[task:-1, task])
        random.shuffle(history)
        shuffled[task:-1, task] = history
    np.testing.assert_array_equal(forgetting_per_task(shuffled), forgetting_per_task(matrix))


@given(matrices(smallest=2))
def test_definitions_by_plain_loops(matrix):
    size = len(matrix)
    drops = [
        max(matrix[row][task] for row in range(task, size - 1)) - matrix[-1][task]
        for task in range(size - 1)
    ]
    averages = [sum(matrix[row][: row + 1]) / (row + 1) for row in range(size)]
    assert forgetting(matrix) == pytest.approx(sum(drops) / len(drops), abs=1e-12)
    assert average_incremental_accuracy(matrix) == pytest.approx(sum(averages) / size)
    assert learning_accuracy(matrix) == pytest.approx(
        sum(matrix[task][task] for task in range(size)) / size
    )

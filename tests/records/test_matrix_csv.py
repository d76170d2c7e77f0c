"""Accuracy matrices survive their file to the last bit."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contsemi.records.matrix_csv import from_csv, to_csv


def test_the_file_by_hand():
    matrix = np.array([[0.5, np.nan], [1 / 3, 1.0]])
    text = "after_task,task_1,task_2\n1,0.5,\n2,0.3333333333333333,1.0\n"
    assert to_csv(matrix).decode() == text
    assert [len(row) for row in csv.reader(text.splitlines())] == [3, 3, 3]


@given(
    st.integers(1, 6).flatmap(
        lambda t: arrays(np.float64, (t, t), elements=st.floats(0, 1) | st.just(np.nan))
    )
)
def test_round_trip(matrix):
    np.testing.assert_array_equal(from_csv(to_csv(matrix).decode()), matrix)


@pytest.mark.parametrize("text", ["", "after_task,task_1\n", "h,1\n1,0.5,0.5\n", "h,1\n1,half\n"])
def test_damaged_files(text):
    with pytest.raises(ValueError, match=r"expected|could not convert"):
        from_csv(text)


def test_tasks_by_name_are_read_as_those_by_number():
    matrix = np.array([[0.5, np.nan], [0.25, 1.0]])
    text = to_csv(matrix, ["1: cat, dog", '2: a "b"']).decode()
    assert text.splitlines()[0] == 'after_task,"1: cat, dog","2: a ""b"""'
    np.testing.assert_array_equal(from_csv(text), matrix)

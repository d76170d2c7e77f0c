"""The accuracy matrix, and what a metric says where it is not defined."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]
"""[T, T] accuracies in [0, 1]; row = after task i, column = test task j; NaN where not measured."""


@dataclass(frozen=True, slots=True)
class Undefined:
    """The answer of a metric that this matrix does not define; ``null`` in files.

    Attributes:
        reason: why there is no number, in one sentence without a full stop.
    """

    reason: str


def as_matrix(matrix: ArrayLike) -> Matrix:
    """The accuracy matrix as float64.

    Args:
        matrix: [T, T] accuracies in [0, 1], T ≥ 1; NaN where not measured.

    Raises:
        ValueError: it is not square, or holds something that is not a fraction.

    >>> as_matrix([[1, 0], [0.5, 1]])
    array([[1. , 0. ],
           [0.5, 1. ]])
    """
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.size:
        raise ValueError(f"an accuracy matrix is [T, T] with T ≥ 1, got {list(values.shape)}")
    if np.any((values < 0) | (values > 1)):
        raise ValueError("accuracies are fractions in [0, 1]; are these percentages?")
    return values


def lacking(matrix: Matrix, cells: Iterable[tuple[int, int]]) -> Undefined | None:
    """The reason why a metric of these cells is undefined, or ``None`` when all are measured.

    Args:
        matrix: [T, T].
        cells: (row, column) of every cell that the metric reads.

    >>> lacking(as_matrix([[1.0, 0.0], [np.nan, 1.0]]), [(1, 0)])
    Undefined(reason='task 1 was not measured after task 2')
    """
    for row, column in cells:
        if np.isnan(matrix[row, column]):
            return Undefined(f"task {column + 1} was not measured after task {row + 1}")
    return None


def mean_of(values: Iterable[float | Undefined]) -> float | Undefined:
    """The mean of some metrics, one at least; of those that are not defined the first.

    >>> mean_of([0.25, 0.75]), mean_of([0.25, Undefined("it was not measured")])
    (0.5, Undefined(reason='it was not measured'))
    """
    found = []
    for value in values:
        if isinstance(value, Undefined):
            return value
        found.append(value)
    return float(np.mean(found))


def or_none(metric: float | Undefined) -> float | None:
    """A metric as files and templates take it.

    >>> or_none(0.5), or_none(Undefined("it was not measured"))
    (0.5, None)
    """
    return None if isinstance(metric, Undefined) else metric

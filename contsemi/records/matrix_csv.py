"""Accuracy matrices as comma-separated text: row = after task i, column = test task j."""

import csv
import io

import numpy as np

from contsemi.metrics.matrix import Matrix

__all__ = ["from_csv", "to_csv"]


def to_csv(matrix: Matrix) -> bytes:
    """One header line, then one line a task; tasks count from 1, empty where not measured.

    Args:
        matrix: [T, T] fractions, NaN where not measured; written to the last bit.
    """
    header = ",".join(["after_task", *(f"task_{task + 1}" for task in range(len(matrix)))])
    lines = (
        ",".join([str(task + 1), *("" if np.isnan(value) else repr(float(value)) for value in row)])
        for task, row in enumerate(matrix)
    )
    return "".join(f"{line}\n" for line in (header, *lines)).encode()


def from_csv(text: str) -> Matrix:
    """Read what :func:`to_csv` wrote.

    Raises:
        ValueError: the text is not a square table of numbers and empty cells.
    """
    rows = [row[1:] for row in csv.reader(io.StringIO(text)) if row][1:]
    if not rows or any(len(row) != len(rows) for row in rows):
        raise ValueError("expected as many accuracies in every row as there are tasks")
    return np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])

"""Accuracy matrices as comma-separated text: row = after task i, column = test task j."""

import csv
import io
from collections.abc import Sequence

import numpy as np

from contsemi.metrics.matrix import Matrix


def to_csv(matrix: Matrix, tasks: Sequence[str] = ()) -> bytes:
    """One header line, then one line a task; tasks count from 1, empty where not measured.

    Args:
        matrix: [T, T] fractions, NaN where not measured; written to the last bit.
        tasks: their names for the header, such as ``2: cat, dog``; numbers alone without them.
    """
    names = list(tasks) or [f"task_{task + 1}" for task in range(len(matrix))]
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["after_task", *names])
    for task, row in enumerate(matrix):
        lines.writerow([task + 1, *("" if np.isnan(cell) else repr(float(cell)) for cell in row)])
    return text.getvalue().encode("utf-8", "replace")


def from_csv(text: str) -> Matrix:
    """Read what :func:`to_csv` wrote.

    Raises:
        ValueError: the text is not a square table of numbers and empty cells.
    """
    rows = [row[1:] for row in csv.reader(io.StringIO(text)) if row][1:]
    if not rows or any(len(row) != len(rows) for row in rows):
        raise ValueError("expected as many accuracies in every row as there are tasks")
    return np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])

"""The terms of the loss over the steps of a run, read back from ``metrics.jsonl``."""

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contsemi.records.lines import entries


def load_losses(folder: Path, points: int = 400) -> dict[str, NDArray[np.float64]]:
    """Each term as [n, 2] of step and value; neighbours are averaged where there are many.

    Args:
        folder: of a run, finished or not.
        points: most points of a term.

    Raises:
        ValueError: ``metrics.jsonl`` is damaged.
    """
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for entry in entries(folder, "loss"):
        if entry.value is not None:
            found[entry.name].append((entry.step, entry.value))
    return {name: _thinned(np.array(rows, dtype=float), points) for name, rows in found.items()}


def _thinned(rows: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    if len(rows) <= points:
        return rows
    return np.array([part.mean(axis=0) for part in np.array_split(rows, points)])

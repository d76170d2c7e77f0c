"""k-nearest-neighbour probe: what frozen features say without any training."""

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

# Rows of the similarity matrix that are in memory at a time.
CHUNK = 1024


def knn_predict(
    bank: Floats, bank_labels: Integers, queries: Floats, *, neighbours: int, temperature: float
) -> Integers:
    """The class with the greatest sum of exp(cos / τ) over the k nearest rows (Wu et al. 2018).

    Args:
        bank: [M, D] features with known classes; scaled to unit length here.
        bank_labels: [M], columns.
        queries: [N, D] features.
        neighbours: k; more than M counts as M.
        temperature: τ.

    Returns:
        [N], columns; a tie goes to the lowest.

    Raises:
        ValueError: an empty bank, k < 1, τ ≤ 0, or features that are not finite.

    >>> bank = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> knn_predict(bank, np.array([3, 5]), np.array([[0.1, 1.0]]), neighbours=1, temperature=0.07)
    array([5])
    """
    if neighbours < 1 or temperature <= 0 or not len(bank):
        raise ValueError("k-NN needs a row in the bank, k ≥ 1 and a temperature above 0")
    rows, asked = unit_rows(bank), unit_rows(queries)
    k = min(neighbours, len(rows))
    classes = int(np.max(bank_labels)) + 1
    predicted = np.empty(len(asked), dtype=np.int64)
    for start in range(0, len(asked), CHUNK):
        cosines = asked[start : start + CHUNK] @ rows.T
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(cosines, nearest, axis=1)
        # Less the greatest, so that a small temperature does not overflow.
        weights = np.exp((near - near.max(axis=1, keepdims=True)) / temperature)
        votes = np.zeros((len(near), classes))
        np.add.at(votes, (np.arange(len(near))[:, None], bank_labels[nearest]), weights)
        predicted[start : start + CHUNK] = votes.argmax(axis=1)
    return predicted


def knn_accuracy(
    bank: Floats,
    bank_labels: Integers,
    queries: Floats,
    labels: Integers,
    *,
    neighbours: int,
    temperature: float = 0.07,
) -> float | Undefined:
    """Share of queries that their neighbours name rightly.

    Args:
        bank: [M, D] features with known classes.
        bank_labels: [M], columns.
        queries: [N, D] features.
        labels: [N], true columns of the queries.
        neighbours: k; see :func:`knn_predict`.
        temperature: τ.

    >>> bank, labels = np.eye(2), np.array([3, 5])
    >>> knn_accuracy(bank, labels, bank, labels, neighbours=1)
    1.0
    """
    if not len(bank):
        return Undefined("the bank of labelled features is empty")
    if not len(queries):
        return Undefined("there are no test images")
    predicted = knn_predict(
        bank, bank_labels, queries, neighbours=neighbours, temperature=temperature
    )
    return float((predicted == labels).mean())


def unit_rows(features: Floats) -> NDArray[np.float64]:
    """Rows of length 1; a zero row stays zero.

    Raises:
        ValueError: the features are no finite matrix.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError("features must be a finite matrix [N, D]")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(lengths > 0, lengths, 1)

"""Embeddings in two dimensions."""

import numpy as np
from numpy.typing import NDArray


def project(
    points: NDArray[np.floating], centres: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """The plane of greatest variance, by PCA of the points.

    Args:
        points: [N, D].
        centres: [C, D]; rows that are not finite stay so.

    Returns:
        Points [N, 2], centres [C, 2], and the shares of the variance that the two axes hold.

    >>> points, centres, shares = project(np.array([[0, 0], [2, 0]]), np.array([[1, 0]]))
    >>> abs(points[:, 0]), centres.round(6) + 0, shares
    (array([1., 1.]), array([[0., 0.]]), (1.0, 0.0))
    """
    rows = np.asarray(points, dtype=np.float64)
    marks = np.asarray(centres, dtype=np.float64).reshape(-1, rows.shape[1])
    known = np.isfinite(marks).all(axis=1)
    placed = np.full((len(marks), 2), np.nan)
    middle = rows.mean(axis=0)
    _, lengths, axes = np.linalg.svd(rows - middle, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2].sum(axis=1, keepdims=True) + 1e-300)
    if len(axes) < 2:
        axes = np.concatenate([axes, np.zeros((2 - len(axes), rows.shape[1]))])
    placed[known] = (marks[known] - middle) @ axes.T
    shares = np.append(lengths**2, [0.0, 0.0])[:2] / max(float((lengths**2).sum()), 1e-300)
    return (rows - middle) @ axes.T, placed, (float(shares[0]), float(shares[1]))

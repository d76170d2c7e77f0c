"""Calibration: whether a network that is 80% sure is right four times of five."""

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined

__all__ = ["expected_calibration_error", "negative_log_likelihood"]

Integers = NDArray[np.integer]
Floats = NDArray[np.floating]


def expected_calibration_error(
    probs: Floats, targets: Integers, *, bins: int = 15
) -> float | Undefined:
    """Mean over images of |accuracy − confidence| of the image's bin (Guo et al. 2017, ECE).

    Bins are of equal width, (a, b], over the greatest probability of each image.

    Args:
        probs: [N, C], rows sum to 1.
        targets: [N], true columns.
        bins: number of bins.

    Raises:
        ValueError: rows are no probabilities.
    """
    values = _probabilities(probs, targets)
    if not len(values):
        return Undefined("there are no images")
    sure = values.max(axis=1)
    right = values.argmax(axis=1) == targets
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    gap = np.bincount(place, weights=right - sure, minlength=bins)
    return float(np.abs(gap).sum() / count.sum())


def negative_log_likelihood(log_probs: Floats, targets: Integers) -> float | Undefined:
    """Mean of −log p(true class), in nats.

    Args:
        log_probs: [N, C], natural logarithms of probabilities.
        targets: [N], true columns.

    Raises:
        ValueError: rows are no logarithms of probabilities.
    """
    values = np.asarray(log_probs, dtype=np.float64)
    _probabilities(np.exp(values), targets)
    if not len(values):
        return Undefined("there are no images")
    own = values[np.arange(len(values)), targets]
    if np.isinf(own).any():
        return Undefined("an image was given probability 0 of its own class")
    return float(-own.mean())


def _probabilities(probs: Floats, targets: Integers) -> NDArray[np.float64]:
    values = np.asarray(probs, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(targets):
        raise ValueError(f"expected [N, C] and [N], got {list(values.shape)} and {len(targets)}")
    if len(values) and not (
        (values >= 0).all() and np.allclose(values.sum(axis=1), 1, rtol=0, atol=1e-4)
    ):
        raise ValueError("rows must be probabilities that sum to 1; are these scores?")
    return values

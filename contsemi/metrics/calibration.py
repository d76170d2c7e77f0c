"""Calibration: whether a network that is 80% sure is right four times of five."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined

__all__ = ["Reliability", "negative_log_likelihood", "reliability"]

Integers = NDArray[np.integer]
Floats = NDArray[np.floating]


BINS = 15  # as in Guo et al. 2017


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How often predictions of one confidence are right: the reliability diagram.

    Bins are of equal width, (a, b], over [0, 1].

    Attributes:
        images: int64 [bins], images in each.
        confidence: float64 [bins], their mean confidence; NaN in an empty bin.
        accuracy: float64 [bins], the share that is right; NaN in an empty bin.
    """

    images: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float | Undefined:
        """Mean over images of |accuracy − confidence| of the image's bin (ECE)."""
        if not self.images.sum():
            return Undefined("there are no images")
        gaps = np.abs(self.accuracy - self.confidence)[self.images > 0]
        return float((gaps * self.images[self.images > 0]).sum() / self.images.sum())


def reliability(confidence: Floats, right: NDArray[np.bool_], *, bins: int = BINS) -> Reliability:
    """Sorts predictions by how sure they are.

    Args:
        confidence: [N], the greatest probability of each image.
        right: [N], whether the prediction is right.
        bins: number of bins.

    Raises:
        ValueError: lengths differ, or a confidence is no probability.

    >>> reliability(np.array([0.9, 0.6]), np.array([True, False]), bins=2).accuracy
    array([nan, 0.5])
    """
    sure = np.asarray(confidence, dtype=np.float64)
    if sure.shape != np.shape(right) or sure.ndim != 1:
        raise ValueError("confidences and right answers must be of equal length")
    if not ((sure >= 0) & (sure <= 1 + 1e-6)).all():
        raise ValueError("a confidence is a probability")
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(place, weights=sure, minlength=bins) / images
        shares = np.bincount(place, weights=right, minlength=bins) / images
    return Reliability(images, means, shares)


def negative_log_likelihood(log_probs: Floats, targets: Integers) -> float | Undefined:
    """Mean of −log p(true class), in nats.

    Args:
        log_probs: [N, C], natural logarithms of probabilities.
        targets: [N], true columns.

    Raises:
        ValueError: rows are no logarithms of probabilities.

    >>> round(negative_log_likelihood(np.log([[0.5, 0.5]]), np.array([0])), 4)
    0.6931
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

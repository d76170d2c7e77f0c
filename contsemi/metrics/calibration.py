"""Calibration: whether a network that is 80% sure is right four times of five."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined

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


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int = BINS
) -> Reliability:
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

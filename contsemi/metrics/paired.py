"""Two methods over seeds: their paired difference with a t interval."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from contsemi.metrics.matrix import Undefined


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, seed by seed.

    Attributes:
        mean: mean of the differences.
        low, high: ends of the two-sided Student t interval of that mean.
        seeds: the seeds that both have, ascending; n is their number.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[int, ...]


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], *, confidence: float = 0.95
) -> Difference | Undefined:
    """First minus second over the seeds that both have.

    The interval is Student's t of the mean of the n differences, t(n − 1) s / √n: it takes them for
    draws of one normal distribution. Class order and labels follow the seed, so a pair shares both
    and what they add to the spread cancels.

    Args:
        first: seed -> value.
        second: likewise; a seed that only one of both has is left out.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: a value is not finite, or the confidence is no probability.

    >>> paired_difference({0: 0.75, 1: 1.0}, {0: 0.5, 1: 0.5, 2: 0.5}).mean
    0.375
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies in (0, 1), got {confidence}")
    seeds = tuple(sorted(first.keys() & second.keys()))
    if len(seeds) < 2:
        return Undefined(f"a paired difference needs two seeds in common, there are {len(seeds)}")
    differences = np.array([first[seed] - second[seed] for seed in seeds])
    if not np.isfinite(differences).all():
        raise ValueError("values over seeds must be finite; leave out runs without a number")
    mean = float(differences.mean())
    quantile = stdtrit(len(seeds) - 1, 0.5 + confidence / 2)
    half = float(quantile * differences.std(ddof=1) / np.sqrt(len(seeds)))
    return Difference(mean, mean - half, mean + half, seeds)

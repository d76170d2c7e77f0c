"""Runs over seeds: mean and spread, and the paired difference of two methods with a t interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from contsemi.metrics.matrix import Undefined

__all__ = ["Difference", "Spread", "mean_and_deviation", "paired_difference", "t_half_width"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of one method over seeds.

    Attributes:
        mean: their mean.
        deviation: sample standard deviation (n − 1); undefined for one value.
        count: n.
    """

    mean: float
    deviation: float | Undefined
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, seed by seed.

    Attributes:
        mean: mean of the differences.
        low, high: ends of the two-sided Student t interval of that mean.
        deviation: sample standard deviation (n − 1) of the differences.
        seeds: the seeds that both have, ascending; n is their number.
        confidence: of the interval.
    """

    mean: float
    low: float
    high: float
    deviation: float
    seeds: tuple[int, ...]
    confidence: float


def mean_and_deviation(values: Sequence[float]) -> Spread | Undefined:
    """Mean and sample standard deviation.

    Args:
        values: one a seed.

    Raises:
        ValueError: a value is not finite.

    >>> mean_and_deviation([0.25, 0.75])
    Spread(mean=0.5, deviation=0.3535533905932738, count=2)
    """
    array = _finite(values)
    if not array.size:
        return Undefined("there is no run")
    if array.size == 1:
        return Spread(float(array[0]), Undefined("one run has no spread"), 1)
    return Spread(float(array.mean()), float(array.std(ddof=1)), array.size)


def t_half_width(values: Sequence[float], *, confidence: float = 0.95) -> float | Undefined:
    """Half the width of the Student t interval of a mean: t(n − 1) s / √n.

    Args:
        values: independent draws, at least two.
        confidence: in (0, 1).

    Raises:
        ValueError: a value is not finite, or the confidence is no probability.

    >>> round(t_half_width([0.7, 0.8, 0.9]), 3)
    0.248
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies in (0, 1), got {confidence}")
    array = _finite(values)
    if array.size < 2:
        return Undefined("an interval needs at least two values")
    quantile = stdtrit(array.size - 1, 0.5 + confidence / 2)
    return float(quantile * array.std(ddof=1) / np.sqrt(array.size))


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], *, confidence: float = 0.95
) -> Difference | Undefined:
    """First minus second over the seeds that both have.

    The interval is Student's t of the mean of the n differences, with n − 1 degrees of freedom: it
    takes them for draws of one normal distribution. Class order and labels follow the seed, so a
    pair shares both and what they add to the spread cancels.

    Args:
        first: seed -> value.
        second: likewise; a seed that only one of both has is left out.
        confidence: of the interval.

    Raises:
        ValueError: a value is not finite.

    >>> paired_difference({0: 0.75, 1: 1.0}, {0: 0.5, 1: 0.5, 2: 0.5}).mean
    0.375
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    if len(seeds) < 2:
        return Undefined(f"a paired difference needs two seeds in common, there are {len(seeds)}")
    differences = [first[seed] - second[seed] for seed in seeds]
    half = t_half_width(differences, confidence=confidence)
    assert not isinstance(half, Undefined)
    mean = float(np.mean(differences))
    return Difference(
        mean=mean,
        low=mean - half,
        high=mean + half,
        deviation=float(np.std(differences, ddof=1)),
        seeds=seeds,
        confidence=confidence,
    )


def _finite(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if not np.isfinite(array).all():
        raise ValueError("values over seeds must be finite; leave out runs without a number")
    return array

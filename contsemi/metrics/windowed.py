"""The largest drop and the largest rise of accuracy within a few consecutive evaluations."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.trajectory import Trajectory


def largest_drop(series: ArrayLike, *, window: int) -> float | Undefined:
    """The greatest a_s − a_t with s < t < s + window; 0 for a series that never falls.

    Args:
        series: [N] accuracies in order of time.
        window: Δ, consecutive evaluations that are compared, at least 2.

    Raises:
        ValueError: the window is smaller than 2, or a value is not finite.

    >>> largest_drop([0.75, 1.0, 0.5, 0.25], window=2)
    0.5
    """
    values = np.asarray(series, dtype=np.float64)
    if window < 2:
        raise ValueError(f"a window compares at least two evaluations, got {window}")
    if not np.isfinite(values).all():
        raise ValueError("a series must be finite; leave out what was not measured")
    if values.size < 2:
        return Undefined("one evaluation has neither drop nor rise")
    lags = range(1, min(window, values.size))
    return max(0.0, *(float((values[:-lag] - values[lag:]).max()) for lag in lags))


def largest_rise(series: ArrayLike, *, window: int) -> float | Undefined:
    """The greatest a_t − a_s with s < t < s + window; see :func:`largest_drop`.

    Args:
        series: [N] accuracies in order of time.
        window: Δ, at least 2.

    >>> largest_rise([0.75, 0.25, 0.5, 1.0], window=2)
    0.5
    """
    return largest_drop(-np.asarray(series, dtype=np.float64), window=window)


def windowed_forgetting(trajectory: Trajectory, *, window: int) -> float | Undefined:
    """WF^Δ: the mean over tasks of the largest drop within Δ evaluations (De Lange et al. 2023).

    A task counts from the beginning of its own training on.

    Args:
        trajectory: evaluations while the stream was learned.
        window: Δ, at least 2.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> windowed_forgetting(as_trajectory([1, 2], [0, 0], [[0.75], [0.5]]), window=2)
    0.25
    """
    return _mean(trajectory, largest_drop, window)


def windowed_plasticity(trajectory: Trajectory, *, window: int) -> float | Undefined:
    """WP^Δ: the mean over tasks of the largest rise within Δ evaluations (De Lange et al. 2023).

    Args:
        trajectory: evaluations while the stream was learned.
        window: Δ, at least 2.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> windowed_plasticity(as_trajectory([1, 2], [0, 0], [[0.25], [0.75]]), window=2)
    0.5
    """
    return _mean(trajectory, largest_rise, window)


def _mean(
    trajectory: Trajectory, extreme: Callable[..., float | Undefined], window: int
) -> float | Undefined:
    found = []
    for task in range(trajectory.last_task + 1):
        series = trajectory.accuracy[trajectory.training >= task, task]
        value = extreme(series[~np.isnan(series)], window=window)
        if isinstance(value, Undefined):
            return Undefined(f"task {task + 1} was evaluated less than twice")
        found.append(value)
    return float(np.mean(found))

"""The numbers that a run evaluated while it trained has in its results."""

from collections.abc import Callable, Mapping
from functools import partial

from contsemi.metrics.anytime_accuracy import anytime_accuracy
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.min_accuracy import min_accuracy, worst_case_accuracy
from contsemi.metrics.stability_gap import gap_depth, recovery_steps
from contsemi.metrics.trajectory import Trajectory
from contsemi.metrics.windowed import windowed_forgetting, windowed_plasticity

# De Lange et al. 2023 report Δ = 10 and Δ = 100 evaluations.
WINDOW = 10

TRAJECTORY_METRICS: Mapping[str, Callable[[Trajectory], float | Undefined]] = {
    "min_accuracy": min_accuracy,
    "worst_case_accuracy": worst_case_accuracy,
    "gap_depth": gap_depth,
    "recovery_steps": recovery_steps,
    f"windowed_forgetting_{WINDOW}": partial(windowed_forgetting, window=WINDOW),
    f"windowed_plasticity_{WINDOW}": partial(windowed_plasticity, window=WINDOW),
    "anytime_accuracy": anytime_accuracy,
}


def summarise_trajectory(trajectory: Trajectory) -> dict[str, float | Undefined]:
    """The number of evaluations, and every metric of :data:`TRAJECTORY_METRICS` by its name.

    Args:
        trajectory: evaluations while a stream was learned.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> found = summarise_trajectory(as_trajectory([1, 2], [0, 1], [[0.8, 0], [0.5, 0.9]]))
    >>> found["evaluations"], found["min_accuracy"]
    (2, 0.5)
    """
    found: dict[str, float | Undefined] = {"evaluations": len(trajectory)}
    return found | {name: metric(trajectory) for name, metric in TRAJECTORY_METRICS.items()}

"""The numbers that stand in the results of a run."""

from collections.abc import Callable, Mapping

from numpy.typing import ArrayLike

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.average_incremental_accuracy import average_incremental_accuracy
from contsemi.metrics.backward_transfer import backward_transfer
from contsemi.metrics.forgetting import forgetting
from contsemi.metrics.forgetting_first_minus_last import forgetting_first_minus_last
from contsemi.metrics.learning_accuracy import learning_accuracy
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.relative_forgetting import relative_forgetting
from contsemi.metrics.sample_weighted_accuracy import sample_weighted_accuracy
from contsemi.metrics.sample_weighted_incremental_accuracy import (
    sample_weighted_incremental_accuracy,
)

METRICS: Mapping[str, Callable[[ArrayLike], float | Undefined]] = {
    "average_accuracy": average_accuracy,
    "average_incremental_accuracy": average_incremental_accuracy,
    "forgetting": forgetting,
    "backward_transfer": backward_transfer,
    "learning_accuracy": learning_accuracy,
    "forgetting_first_minus_last": forgetting_first_minus_last,
    "relative_forgetting": relative_forgetting,
}

HEADLINE = tuple(METRICS)[:5]
"""What every finished run holds, however old; the others may be missing from its files."""


def summarise(matrix: ArrayLike, images: ArrayLike | None = None) -> dict[str, float | Undefined]:
    """Every metric of :data:`METRICS` by its name.

    Args:
        matrix: R [T, T], fractions; NaN where not measured.
        images: [T], test images of each task; where given, ``sample_weighted_accuracy`` and
            ``sample_weighted_incremental_accuracy`` are added.

    >>> found = summarise([[1.0, 0.0], [0.5, 1.0]])
    >>> found["average_accuracy"], found["forgetting"], found["backward_transfer"]
    (0.75, 0.5, -0.5)
    """
    found = {name: metric(matrix) for name, metric in METRICS.items()}
    if images is not None:
        found["sample_weighted_accuracy"] = sample_weighted_accuracy(matrix, images)
        found["sample_weighted_incremental_accuracy"] = sample_weighted_incremental_accuracy(
            matrix, images
        )
    return found

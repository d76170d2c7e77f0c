"""The five numbers that stand in the results of a run."""

from collections.abc import Callable, Mapping

from numpy.typing import ArrayLike

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.average_incremental_accuracy import average_incremental_accuracy
from contsemi.metrics.backward_transfer import backward_transfer
from contsemi.metrics.forgetting import forgetting
from contsemi.metrics.learning_accuracy import learning_accuracy
from contsemi.metrics.matrix import Undefined

__all__ = ["METRICS", "summarise"]

METRICS: Mapping[str, Callable[[ArrayLike], float | Undefined]] = {
    "average_accuracy": average_accuracy,
    "average_incremental_accuracy": average_incremental_accuracy,
    "forgetting": forgetting,
    "backward_transfer": backward_transfer,
    "learning_accuracy": learning_accuracy,
}


def summarise(matrix: ArrayLike) -> dict[str, float | Undefined]:
    """Every metric of :data:`METRICS` by its name.

    Args:
        matrix: R [T, T], fractions; NaN where not measured.
    """
    return {name: metric(matrix) for name, metric in METRICS.items()}

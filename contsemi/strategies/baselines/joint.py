"""Training on the labelled images of all tasks at once: the upper bound."""

from collections.abc import Sequence
from typing import Any

from avalanche.training.supervised import JointTraining

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import under_same_conditions


class Joint(Method):
    """Avalanche's JointTraining, one cosine over the steps of all tasks together.

    There is nothing to measure before the last task, so that forgetting and all else that needs the
    earlier rows of the matrix is not defined.
    """

    joint = True

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        return under_same_conditions(JointTraining, self, conditions)

    def rows_per_step(self, labelled: int, clock: Any) -> int:
        """As many rows as replay has with those of its memory."""
        return 2 * labelled

    def kept(self, strategy: Any) -> Sequence[int]:
        """Those of every labelled image."""
        return [column for each in strategy._experiences for column in each.dataset.targets]

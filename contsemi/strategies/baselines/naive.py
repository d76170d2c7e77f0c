"""Fine-tuning: cross-entropy on the labelled images of the task, nothing of the past."""

from typing import Any

from avalanche.training.supervised import Naive as Strategy

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import under_same_conditions


class Naive(Method):
    """Avalanche's Naive; the same as our ``finetune``."""

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        return under_same_conditions(Strategy, self, conditions)

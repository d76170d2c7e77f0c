"""Learning without forgetting: the network of the past teaches its own classes."""

from collections.abc import Mapping
from typing import Any

from avalanche.training.plugins import LwFPlugin
from avalanche.training.supervised import LwF as Strategy

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import (
    criterion,
    plugin_of,
    under_same_conditions,
)


class Lwf(Method):
    """Avalanche's LwF (Li and Hoiem 2016).

    As Avalanche has it: no factor of the squared temperature, and a teacher whose BatchNorm goes
    on using the statistics of the batch.

    Args:
        weights: ``distillation`` of the teacher's term.
        temperature: of both softmaxes.
        new_classes_only: whether labels compete among the task's classes, not among all seen ones.
    """

    term = "distillation"

    def __init__(
        self, *, weights: Mapping[str, float], temperature: float, new_classes_only: bool
    ) -> None:
        self.weights, self.temperature = weights, temperature
        self.new_classes_only = new_classes_only

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        return under_same_conditions(
            Strategy,
            self,
            conditions,
            criterion=criterion(self.new_classes_only),
            alpha=self.weights["distillation"],
            temperature=self.temperature,
        )

    def networks(self, strategy: Any) -> list[Any]:
        """The teacher."""
        teacher = plugin_of(strategy, LwFPlugin).lwf.prev_model
        return [] if teacher is None else [teacher]

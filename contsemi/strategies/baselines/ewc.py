"""Elastic weight consolidation: weights that mattered are held fast."""

from collections.abc import Iterator, Mapping
from typing import Any

from avalanche.training.plugins import EWCPlugin
from avalanche.training.supervised import EWC

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import (
    criterion,
    plugin_of,
    under_same_conditions,
)


class Ewc(Method):
    """Avalanche's EWC (Kirkpatrick et al. 2017) with a penalty for each past task.

    As Avalanche has it: the importance is the mean over batches of ``batch.labelled`` images of the
    squared gradient of their mean loss, so that it depends on the size of the batch.

    Args:
        weights: ``penalty`` of the squared distances, weighed by importance.
        new_classes_only: whether labels compete among the task's classes, not among all seen ones.
    """

    term = "penalty"

    def __init__(self, *, weights: Mapping[str, float], new_classes_only: bool) -> None:
        self.weights, self.new_classes_only = weights, new_classes_only

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        return under_same_conditions(
            EWC,
            self,
            conditions,
            criterion=criterion(self.new_classes_only),
            ewc_lambda=self.weights["penalty"],
        )

    def networks(self, strategy: Any) -> Iterator[Any]:
        """Weights and importances of every past task."""
        plugin = plugin_of(strategy, EWCPlugin)
        for kept in (plugin.saved_params, plugin.importances):
            for task in kept.values():
                yield from (each.data for each in task.values())

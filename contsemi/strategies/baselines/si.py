"""Synaptic intelligence: weights that lowered the loss on their way are held fast."""

from collections.abc import Mapping
from typing import Any

from avalanche.training.plugins import SynapticIntelligencePlugin
from avalanche.training.supervised import SynapticIntelligence

from contsemi.strategies.apart import Apart
from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import (
    criterion,
    plugin_of,
    under_same_conditions,
)


class Si(Method):
    """Avalanche's SynapticIntelligence (Zenke et al. 2017, as in Maltoni and Lomonaco 2019).

    Args:
        weights: ``penalty`` of the squared distances, weighed by importance.
        new_classes_only: whether labels compete among the task's classes, not among all seen ones.
    """

    term = "penalty"

    def __init__(self, *, weights: Mapping[str, float], new_classes_only: bool) -> None:
        self.weights, self.new_classes_only = weights, new_classes_only

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        strategy = under_same_conditions(
            SynapticIntelligence,
            self,
            conditions,
            criterion=criterion(self.new_classes_only),
            si_lambda=self.weights["penalty"],
        )
        strategy.plugins.append(Apart(plugin_of(strategy, SynapticIntelligencePlugin)))
        return strategy

    def networks(self, strategy: Any) -> list[Any]:
        """Weights, importances and what they are made of."""
        plugin = plugin_of(strategy, SynapticIntelligencePlugin)
        kept = (*plugin.ewc_data, *plugin.syn_data.values())
        return [each.data for part in kept for each in part.values()]

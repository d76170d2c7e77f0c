"""Synaptic intelligence: weights that lowered the loss on their way are held fast."""

from collections.abc import Mapping
from typing import Any

from contsemi.strategies._avalanche import SynapticIntelligence
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_terms import criterion, on_same_terms
from contsemi.strategies.baselines.terms import Terms

__all__ = ["Si"]


class Si(Method):
    """Avalanche's SynapticIntelligence (Zenke et al. 2017, as in Maltoni and Lomonaco 2019).

    Args:
        weights: ``penalty`` of the squared distances, weighed by importance.
        new_classes_only: whether labels compete among the task's classes, not among all seen ones.
    """

    term = "penalty"

    def __init__(self, *, weights: Mapping[str, float], new_classes_only: bool) -> None:
        self.weights, self.new_classes_only = weights, new_classes_only

    def build(self, terms: Terms) -> Any:
        """The strategy."""
        return on_same_terms(
            SynapticIntelligence,
            self,
            terms,
            criterion=criterion(self.new_classes_only),
            si_lambda=self.weights["penalty"],
        )

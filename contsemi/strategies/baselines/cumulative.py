"""Training on all labelled images seen so far."""

from collections.abc import Sequence
from typing import Any

from avalanche.training.supervised import Cumulative as Strategy

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import under_same_conditions


class Cumulative(Method):
    """Avalanche's Cumulative: an upper bound for replay, with a memory that has no limit."""

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        return under_same_conditions(Strategy, self, conditions)

    def rows_per_step(self, labelled: int, clock: Any) -> int:
        """As many rows as replay has with those of its memory."""
        return labelled * (2 if clock.train_exp_counter else 1)

    def kept(self, strategy: Any) -> Sequence[int]:
        """Those of every labelled image."""
        return list(strategy.dataset.targets) if strategy.dataset else []

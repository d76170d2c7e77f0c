"""ER-ACE: new images compete among new classes only, replayed ones among all."""

from typing import Any

from avalanche.training.supervised import ER_ACE

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import under_same_conditions


class ErAce(Method):
    """Avalanche's ER_ACE (Caccia et al. 2022): the buffer takes a task in when it begins."""

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        return under_same_conditions(
            ER_ACE,
            self,
            conditions,
            mem_size=conditions.config.memory.exemplars,
            batch_size_mem=conditions.config.batch.labelled,
        )

    def draw_from_memory(self, strategy: Any, conditions: Conditions) -> None:
        """Full batches also of a buffer that is smaller than one: Avalanche leaves it out."""
        if strategy.clock.train_exp_counter:
            buffer = strategy.storage_policy.buffer
            strategy.replay_loader = conditions.endless(buffer, strategy.batch_size_mem)

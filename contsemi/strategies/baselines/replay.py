"""Experience replay: cross-entropy on the task's labelled images and those of a buffer."""

from typing import Any

from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import ClassBalancedBuffer
from avalanche.training.supervised import Replay as Strategy

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import plugin_of, under_same_conditions


class Replay(Method):
    """Avalanche's Replay with its class-balanced buffer, filled when a task is over."""

    def build(self, conditions: Conditions) -> Any:
        """The strategy; its own choice of the buffer is balanced by experience."""
        budget = conditions.config.memory.exemplars
        strategy = under_same_conditions(Strategy, self, conditions, mem_size=budget)
        plugin_of(strategy, ReplayPlugin).storage_policy = ClassBalancedBuffer(max_size=budget)
        return strategy

    def draw_from_memory(self, strategy: Any, conditions: Conditions) -> None:
        """Each batch: rows of the task, then as many of the buffer."""
        rows = conditions.config.batch.labelled
        buffer = plugin_of(strategy, ReplayPlugin).storage_policy.buffer
        strategy.dataloader = conditions.batches((strategy.adapted_dataset, rows), (buffer, rows))

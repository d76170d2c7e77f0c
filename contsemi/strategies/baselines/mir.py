"""MIR: replays the images whose loss a step on the new ones would raise most."""

from typing import Any

from avalanche.training.plugins import MIRPlugin
from avalanche.training.supervised import MIR

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import plugin_of, under_same_conditions


class Mir(Method):
    """Avalanche's MIR (Aljundi et al. 2019).

    Avalanche leaves the classes of the last batch out of the replay of the next task, which in a
    stream of tasks are those that are forgotten first; here the whole buffer is replayed.

    Args:
        candidates: images of the memory among which those of a step are chosen.
    """

    term = "replay"

    def __init__(self, *, candidates: int) -> None:
        self.candidates = candidates

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        return under_same_conditions(
            MIR,
            self,
            conditions,
            mem_size=conditions.config.memory.exemplars,
            subsample=self.candidates,
            batch_size_mem=conditions.config.batch.labelled,
        )

    def draw_from_memory(self, strategy: Any, conditions: Conditions) -> None:
        """Candidates from the whole buffer; each once at most in a draw."""
        plugin = plugin_of(strategy, MIRPlugin)
        buffer = plugin.storage_policy.buffer
        plugin.replay_loader = conditions.endless(buffer, min(self.candidates, len(buffer)))

"""ER-ACE: new images compete among new classes only, replayed ones among all."""

from collections.abc import Sequence
from typing import Any

from contsemi.strategies._avalanche import ER_ACE
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_terms import on_same_terms
from contsemi.strategies.baselines.terms import Terms

__all__ = ["ErAce"]


class ErAce(Method):
    """Avalanche's ER_ACE (Caccia et al. 2022): the buffer takes a task in when it begins."""

    def build(self, terms: Terms) -> Any:
        """The strategy."""
        return on_same_terms(
            ER_ACE,
            self,
            terms,
            mem_size=terms.config.memory.exemplars,
            batch_size_mem=terms.config.batch.labelled,
        )

    def draw_from_memory(self, strategy: Any, terms: Terms) -> None:
        """Full batches also of a buffer that is smaller than one: Avalanche leaves it out."""
        if strategy.clock.train_exp_counter:
            buffer = strategy.storage_policy.buffer
            strategy.replay_loader = terms.endless(buffer, strategy.batch_size_mem)

    def kept(self, strategy: Any) -> Sequence[int]:
        """Those in the buffer."""
        return list(strategy.storage_policy.buffer.targets)

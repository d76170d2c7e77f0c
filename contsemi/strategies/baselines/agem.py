"""A-GEM: gradients that would hurt the memory are projected."""

from collections.abc import Sequence
from typing import Any

import torch

from contsemi.strategies._avalanche import AGEM, AGEMPlugin
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_terms import on_same_terms, plugin_of
from contsemi.strategies.baselines.terms import Terms

__all__ = ["Agem"]


class Agem(Method):
    """Avalanche's AGEM (Chaudhry et al. 2019); each task has an equal share of the memory."""

    def build(self, terms: Terms) -> Any:
        """The strategy."""
        # Avalanche flattens gradients by view(), which those in channels_last refuse.
        terms.network.to(memory_format=torch.contiguous_format)
        return on_same_terms(
            AGEM,
            self,
            terms,
            patterns_per_exp=terms.config.memory.exemplars // len(terms.experiences),
            sample_size=terms.config.batch.labelled,
        )

    def draw_from_memory(self, strategy: Any, terms: Terms) -> None:
        """Batches over all buffers together, of the size of a labelled batch."""
        plugin = plugin_of(strategy, AGEMPlugin)
        plugin.buffers = [buffer for buffer in plugin.buffers if len(buffer)]
        if plugin.buffers:
            memory = plugin.buffers[0]
            for buffer in plugin.buffers[1:]:
                memory = memory.concat(buffer)
            plugin.buffer_dliter = terms.endless(memory, plugin.sample_size)

    def kept(self, strategy: Any) -> Sequence[int]:
        """Those in the buffers."""
        buffers = plugin_of(strategy, AGEMPlugin).buffers
        return [column for buffer in buffers for column in buffer.targets]

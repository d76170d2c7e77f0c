"""A-GEM: gradients that would hurt the memory are projected."""

from collections.abc import Sequence
from typing import Any

import torch
from avalanche.training.plugins import AGEMPlugin
from avalanche.training.supervised import AGEM

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import plugin_of, under_same_conditions


class Agem(Method):
    """Avalanche's AGEM (Chaudhry et al. 2019); each task has an equal share of the memory."""

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        # Avalanche flattens gradients by view(), which those in channels_last refuse.
        conditions.network.to(memory_format=torch.contiguous_format)
        return under_same_conditions(
            AGEM,
            self,
            conditions,
            patterns_per_exp=conditions.config.memory.exemplars // len(conditions.experiences),
            sample_size=conditions.config.batch.labelled,
        )

    def draw_from_memory(self, strategy: Any, conditions: Conditions) -> None:
        """Batches over all buffers together, of the size of a labelled batch."""
        plugin = plugin_of(strategy, AGEMPlugin)
        plugin.buffers = [buffer for buffer in plugin.buffers if len(buffer)]
        if plugin.buffers:
            memory = plugin.buffers[0]
            for buffer in plugin.buffers[1:]:
                memory = memory.concat(buffer)
            plugin.buffer_dliter = conditions.endless(memory, plugin.sample_size)

    def kept(self, strategy: Any) -> Sequence[int]:
        """Those in the buffers."""
        buffers = plugin_of(strategy, AGEMPlugin).buffers
        return [column for buffer in buffers for column in buffer.targets]

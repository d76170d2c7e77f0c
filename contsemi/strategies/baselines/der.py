"""Dark experience replay: the logits of the past are replayed with its images."""

from collections.abc import Mapping
from typing import Any

from avalanche.training.supervised import DER

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import under_same_conditions


class Der(Method):
    """Avalanche's DER (Buzzega et al. 2020); with a weight of the replayed labels it is DER++.

    As Avalanche has it: logits are stored after the task, of plain images; one batch of the memory
    serves both conditions; the cross-entropy runs over all columns of the stream, as in the paper.

    Args:
        weights: ``logits`` of the squared error of stored logits, ``replay`` of the cross-entropy
            of stored images.
    """

    masked = False

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        self.weights = weights

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        self.columns = conditions.experiences[-1].num_seen
        return under_same_conditions(
            DER,
            self,
            conditions,
            mem_size=conditions.config.memory.exemplars,
            batch_size_mem=conditions.config.batch.labelled,
            alpha=self.weights["logits"],
            beta=self.weights["replay"],
        )

    def draw_from_memory(self, strategy: Any, conditions: Conditions) -> None:
        """Full batches also of a buffer that is smaller than one: Avalanche leaves it out."""
        buffer = strategy.storage_policy.buffer
        strategy.replay_loader = conditions.endless(buffer, strategy.batch_size_mem)

    def bytes_beside(self, strategy: Any) -> int:
        """The logits of all columns, in float32."""
        return 4 * self.columns

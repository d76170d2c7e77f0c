"""Mends what Avalanche's synaptic intelligence remembers of a network on a CPU."""

from collections.abc import Mapping
from typing import Any

from avalanche.training.plugins import SupervisedPlugin, SynapticIntelligencePlugin


class Apart(SupervisedPlugin):  # type: ignore[misc]
    """Comes after Avalanche's plugin and copies the weights that it keeps.

    On a CPU it keeps the live weights of every layer whose numbers lie in their own order, the
    classifier's among them: such a layer seems never to have moved, and nothing holds it.

    Args:
        kept: that plugin.
    """

    def __init__(self, kept: SynapticIntelligencePlugin) -> None:
        super().__init__()
        self.kept = kept

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """The weights that the task begins with."""
        _copy(self.kept.ewc_data[0])

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """The weights that the step begins with."""
        _copy(self.kept.syn_data["old_theta"])


def _copy(kept: Mapping[str, Any]) -> None:
    for each in kept.values():
        each.data = each.data.clone()

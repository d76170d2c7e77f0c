"""The contract of a baseline: one file a strategy of Avalanche."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from contsemi.types import Outputs

if TYPE_CHECKING:
    from contsemi.strategies.baselines.conditions import Conditions


class Method:
    """How a strategy of Avalanche is made, and where it keeps what.

    The constructor takes the keys of ``conf/baseline/NAME.yaml``, the name excepted.

    Attributes:
        term: name of what the strategy's plugin adds to the loss, for the records.
        masked: whether the loss runs over the columns seen so far; else over those of the stream.
        joint: whether all tasks are learned at once.
        inside: whether it can predict inside a task, and not at its end alone.
    """

    term = ""
    masked = True
    joint = False
    inside = True

    def build(self, conditions: "Conditions") -> Any:
        """The strategy.

        Raises:
            InputError: it cannot run under this configuration.
        """
        raise NotImplementedError

    def train(self, strategy: Any, experience: Any) -> None:
        """Learns one Avalanche experience, or all of them for a joint method."""
        strategy.train(experience, eval_streams=[])

    def rows_per_step(self, labelled: int, clock: Any) -> int:
        """Rows that the strategy's own loader gives; those of the memory are drawn beside them.

        Args:
            labelled: ``batch.labelled``.
            clock: Avalanche's counters.
        """
        return labelled

    def draw_from_memory(self, strategy: Any, conditions: "Conditions") -> None:
        """A task begins: replaces the loaders that the strategy has made of its memory."""

    def kept(self, strategy: Any) -> Sequence[int] | None:
        """Columns of the images that the strategy keeps; ``None`` for one without a memory.

        Unless a method says otherwise these are in the buffer of the strategy or of a plugin.
        """
        for each in (strategy, *strategy.plugins):
            if (policy := getattr(each, "storage_policy", None)) is not None:
                buffer = policy.buffer  # an empty one has no targets
                return list(buffer.targets) if len(buffer) else []
        return None

    def bytes_beside(self, strategy: Any) -> int:
        """Bytes kept with each image, its pixels and its label excepted."""
        return 0

    def networks(self, strategy: Any) -> Iterable[Any]:
        """Tensors and modules beside the network that are kept from task to task."""
        return ()

    def scores(self, strategy: Any, outputs: Outputs) -> Tensor:
        """Scores [N, C] of un-augmented images over all columns, from one pass of features."""
        return outputs["classifier"]

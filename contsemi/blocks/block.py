"""What a method is built of that lives from step to step: it follows the tasks by itself."""

from torch import nn

from contsemi.types import Experience

__all__ = ["Block"]


class Block(nn.Module):
    """State beside the network. An objective calls these hooks for every block that it holds."""

    def begin(self, experience: Experience) -> None:
        """A task begins."""

    def after_step(self) -> None:
        """The optimiser has stepped."""

    def end(self, experience: Experience) -> None:
        """The task is over."""

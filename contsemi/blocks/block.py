"""What a method is built of that lives from step to step: it follows the tasks by itself."""

from collections.abc import Iterator

from torch import nn

from contsemi.types import Experience, Pool


class Block(nn.Module):
    """State beside the network. An objective calls these hooks for every block that it holds.

    Attributes:
        refresh_every: when :meth:`refresh` is called: before the first step of each ``task`` or of
            each ``epoch``, or before every n-th step of a task, the first one included; ``None``
            for never.
    """

    refresh_every: str | int | None = None

    def begin(self, experience: Experience) -> None:
        """A task begins."""

    def refresh(self, pool: Pool) -> None:
        """Looks at all unlabelled images of the task, as the networks see them now."""

    def after_step(self) -> None:
        """The optimiser has stepped."""

    def end(self, experience: Experience) -> None:
        """The task is over."""

    def due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether it is to be refreshed before a step of a task, counted from 0."""
        if self.refresh_every is None or self.refresh_every == "task":
            return self.refresh_every == "task" and step == 0
        every = steps_per_epoch if self.refresh_every == "epoch" else int(self.refresh_every)
        return step % every == 0


def blocks_of(module: nn.Module) -> Iterator[Block]:
    """The blocks that a module holds, not those that they are made of."""
    for child in module.children():
        if isinstance(child, Block):
            yield child
        else:
            yield from blocks_of(child)

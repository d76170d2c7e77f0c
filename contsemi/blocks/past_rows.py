"""Rows of the embedding memory for a method that learns from them."""

from collections.abc import Callable

from contsemi.blocks.block import Block
from contsemi.types import MemoryRows


class PastRows(Block):
    """The embedding memory, which is kept only for a method that holds this block.

    Attributes:
        view: gives the rows; ``None`` while there are none. The learner puts it in place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.view: Callable[[], MemoryRows | None] = lambda: None

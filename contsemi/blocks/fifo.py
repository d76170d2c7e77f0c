"""The newest rows: first in, first out."""

from collections.abc import Mapping

import torch
from torch import Tensor

from contsemi.blocks.bank import Bank
from contsemi.errors import InputError


class Fifo(Bank):
    """Rows of which the oldest are overwritten.

    Args:
        capacity: rows.
        current_only: whether every task begins with an empty bank.

    Raises:
        InputError: there is no room for a row.
    """

    def __init__(self, capacity: int, *, current_only: bool = False) -> None:
        if capacity < 1:
            raise InputError("objective.bank", f"expected at least 1 row, got {capacity}", "use 1")
        super().__init__(capacity, 1, current_only=current_only)
        self.capacity = capacity

    def _places(self, number: int, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        order = torch.arange(number, device=self.pointer.device)
        place = (self.pointer + order) % self.slots
        place = torch.where(order < number - self.slots, self.slots, place)
        return place, self.pointer + number

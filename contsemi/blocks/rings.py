"""The newest rows of each class, so that a class that no longer comes is not pushed out."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.blocks.bank import Bank
from contsemi.errors import InputError
from contsemi.types import Experience


class Rings(Bank):
    """A first-in-first-out store for each class; rows of classes without one are dropped.

    :meth:`push` needs the column ``labels``.

    Args:
        capacity: rows of each class.
        current_only: whether every task begins with an empty bank.

    Raises:
        InputError: there is no room for a row.
    """

    def __init__(self, capacity: int, *, current_only: bool = False) -> None:
        if capacity < 1:
            raise InputError("objective.bank", f"expected at least 1 row, got {capacity}", "use 1")
        super().__init__(0, 0, current_only=current_only)
        self.capacity = capacity

    def begin(self, experience: Experience) -> None:
        """A ring for each new class."""
        self.grow(experience.num_seen)
        super().begin(experience)

    def grow(self, classes: int) -> None:
        """Makes room for classes on the right; never shrinks."""
        if classes > len(self.pointer):
            self.pointer = functional.pad(self.pointer, (0, classes - len(self.pointer)))
            self._make_room(classes * self.capacity)

    @torch.no_grad()
    def members(self, labels: Tensor, k: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows drawn from the ring of each query's class.

        Args:
            labels: int64 [N], classes; negative for none.
            k: rows for each; the same one may come twice.
            draw: on the bank's device.

        Returns:
            [N, k, D] rows, and bool [N] whether the class has any; else its rows are zero.
        """
        known = labels.clamp(min=0)
        held = self.pointer[known].clamp(max=self.capacity)
        at = torch.rand(len(labels), k, generator=draw, device=labels.device)
        place = (at * held[:, None]).long() + (known * self.capacity)[:, None]
        found = (labels >= 0) & (held > 0)
        return self.rows[place] * found[:, None, None], found

    def _places(self, number: int, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        labels = columns["labels"].to(self.pointer.device)
        place, written = in_rings(labels, self.pointer, self.capacity)
        return self._last_of_each(place), written


def in_rings(labels: Tensor, written: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
    """Where rows go that enter the rings of their classes in their order.

    Args:
        labels: int64 [N], classes.
        written: int64 [C], rows ever written to each ring.
        capacity: of each ring.

    Returns:
        int64 [N], the places, -1 for rows of a class without a ring; and [C], what is written then.
    """
    mine = labels[:, None] == torch.arange(len(written), device=labels.device)
    rank = ((mine.cumsum(0) - 1 + written) * mine).sum(1)
    place = torch.where(mine.any(1), labels * capacity + rank % capacity, -1)
    return place, written + mine.sum(0)

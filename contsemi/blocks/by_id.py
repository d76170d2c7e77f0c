"""A table with one row for each image of a task's pool."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.blocks.bank import Bank
from contsemi.types import Experience


class ById(Bank):
    """Row i is of the image at place i; a place beyond the table, or negative, is dropped.

    A task begins with an empty table as long as its pool: places of one are no places of another.
    :meth:`push` needs the column ``places``.

    Args:
        momentum: the share of the old row that a new one keeps, before it returns to unit length;
            0 replaces it.
    """

    def __init__(self, *, momentum: float = 0.0) -> None:
        super().__init__(0, 0, current_only=True)
        self.momentum = momentum

    def begin(self, experience: Experience) -> None:
        """An empty row for each image of the pool."""
        self.resize(len(experience.unlabelled))

    def resize(self, slots: int) -> None:
        """Forgets every row, and has so many."""
        self.slots = 0
        for name, store in self._stores():
            setattr(self, name, store[-1:])
        self._make_room(slots)

    @torch.no_grad()
    def at(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """The rows [N, D] at places int64 [N], zero and False [N] where there is none."""
        place = torch.where((places >= 0) & (places < self.slots), places, self.slots)
        return self._store("rows")[place], self._store("filled")[place]

    def _places(self, number: int, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self._last_of_each(columns["places"].to(self.pointer.device)), self.pointer

    def _blended(self, rows: Tensor, place: Tensor) -> Tensor:
        if not self.momentum:
            return rows
        old, known = self._store("rows")[place], self._store("filled")[place]
        moved = functional.normalize(self.momentum * old + (1 - self.momentum) * rows, dim=1)
        return torch.where(known[:, None], moved, rows)

"""Rows that grow by doubling and are overwritten in place."""

import torch
from torch import Tensor

__all__ = ["Column"]


class Column:
    """A tensor [n, ...] with spare room behind it.

    Args:
        rows: the first rows; never written to, they are copied before the first change.
    """

    def __init__(self, rows: Tensor) -> None:
        self._buffer, self._count, self._own = rows.detach(), len(rows), False

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Tensor:
        """The rows in use, a view."""
        return self._buffer[: self._count]

    def append(self, rows: Tensor) -> None:
        """Takes rows in at the end."""
        count = self._count + len(rows)
        if not self._own or count > len(self._buffer):
            room = count if self._count == 0 else max(count, 2 * self._count)
            grown = self._buffer.new_empty(room, *self._buffer.shape[1:])
            grown[: self._count] = self.rows
            self._buffer, self._own = grown, True
        self._buffer[self._count : count] = rows
        self._count = count

    def write(self, places: Tensor, rows: Tensor) -> None:
        """Overwrites the rows at int64 [n] places."""
        if not self._own:
            self._buffer, self._own = self._buffer.clone(), True
        self._buffer.index_copy_(0, places, rows.to(self._buffer.dtype))

    def resident_bytes(self) -> int:
        """Bytes of the rows in use."""
        return self.rows.nbytes


def filled(count: int, value: bool, device: torch.device) -> Tensor:
    """A bool column of one value."""
    return torch.full((count,), value, dtype=torch.bool, device=device)

"""The last embeddings of a task's images, kept beside the batch so that a balance has more rows."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Queue(nn.Module):
    """First in, first out: the newest unit embeddings of each large view.

    What :meth:`hold` is given enters with :meth:`push`, once the optimiser has stepped, so that a
    batch never meets itself, and a loss that is evaluated twice stays the same. Allocated with
    the first rows; its state is that of the module.

    Args:
        length: rows kept of each view; batches of any size wrap around.

    Attributes:
        written: rows pushed so far.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length, self.written = length, 0
        self._ring = torch.empty(0, 0, 0)
        self._next: Tensor | None = None

    @property
    def full(self) -> bool:
        """Whether it may be used: zeros of the start would pull the balance."""
        return self.written >= self.length

    def rows(self) -> Tensor:
        """[V, length, D], newest first; zeros where nothing was written yet."""
        return self._ring.roll(-(self.written % self.length), dims=1).flip(1)

    def scores(self, directions: Tensor) -> Tensor | None:
        """Scores of the rows by the prototypes as they are now, in no particular order.

        Args:
            directions: [C, D].

        Returns:
            [V, length, C]; ``None`` until the queue is full.
        """
        if not self.full:
            return None
        self._ring = self._ring.to(directions.device)  # moves once, after a restore
        return self._ring @ directions.detach().T.to(self._ring.dtype)

    def hold(self, embeddings: Tensor, *, batch_size: int) -> None:
        """The rows that are to enter with the next :meth:`push`.

        Args:
            embeddings: [V * B, D], view-major; normalised here.
            batch_size: B > 0.
        """
        rows = embeddings.detach().to(torch.promote_types(embeddings.dtype, torch.float32))
        self._next = functional.normalize(rows, dim=1).view(-1, batch_size, rows.shape[1])

    def push(self) -> None:
        """The rows held enter, and as many of the oldest leave."""
        if self._next is None:
            return
        new = self._next[:, : self.length]
        if not len(self._ring):
            self._ring = new.new_zeros(len(new), self.length, new.shape[2])
        # Backwards: of a block that leaves in part, SwAV's last rows leave first.
        places = (self.written + torch.arange(new.shape[1], device=new.device)) % self.length
        self._ring = self._ring.to(new.device).index_copy_(1, places, new.flip(1))
        self.written += new.shape[1]
        self._next = None

    def clear(self) -> None:
        """Empty again: nothing of a task stays when it is over."""
        self._ring, self.written, self._next = torch.empty(0, 0, 0), 0, None

    def get_extra_state(self) -> dict[str, Tensor]:
        """The ring, where there is one, and how often it was written to."""
        state = {"written": torch.tensor(self.written)}
        return state | ({"ring": self._ring} if self.written else {})

    def set_extra_state(self, state: Any) -> None:
        """Takes back what :meth:`get_extra_state` gave."""
        self.written = int(state["written"])
        self._ring = state["ring"].clone() if self.written else torch.empty(0, 0, 0)
        self._next = None

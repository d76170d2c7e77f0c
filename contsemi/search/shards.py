"""Rows that several processes search together, each the part that it has an index of."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Peers(Protocol):
    """The processes; all of them search for the same queries at the same time."""

    @property
    def rank(self) -> int:
        """Of this process, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def gather(self, own: Tensor) -> Tensor:
        """Rows [size * n, ...] of all of them, of which each has n."""
        ...


class Rows(Protocol):
    """What a form of the index does; places are given out in order."""

    @property
    def memory_bytes(self) -> int:
        """Bytes of all that it keeps."""
        ...

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores [B, k] in descending order, and places int64 [B, k]."""
        ...


def own_part(count: int, peers: Peers) -> slice:
    """The rows of this process among ``count``; the last parts may be short or empty."""
    each = -(-count // peers.size)
    return slice(min(count, peers.rank * each), min(count, (peers.rank + 1) * each))


class ShardedRows:
    """An index of this process's part; what is found is the best of all parts.

    Args:
        rows: float [M, D], all of them, the same in each process.
        make: makes an index of rows.
        peers: the processes.
    """

    def __init__(self, rows: Tensor, make: Callable[[Tensor], Rows], peers: Peers) -> None:
        part = own_part(len(rows), peers)
        self._start, self._count, self._peers = part.start, part.stop - part.start, peers
        self._index = make(rows[part])

    @property
    def memory_bytes(self) -> int:
        """Bytes of this process's part."""
        return self._index.memory_bytes

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k rows of greatest inner product of all parts; one collective operation."""
        own = min(k, self._count)
        scores = queries.new_full((len(queries), k), -torch.inf, dtype=torch.float64)
        places = torch.full_like(scores, -1)
        if own:
            found, where = self._index.search(queries, own)
            missing = (0, k - found.shape[1])
            scores = functional.pad(found.double(), missing, value=-torch.inf)
            places = torch.where(where < 0, -1, where + self._start).double()
            places = functional.pad(places, missing, value=-1)
        # float64 holds every place below 2^53
        everyone = self._peers.gather(torch.cat([scores, places], dim=1))
        parts = everyone.view(self._peers.size, len(queries), 2, k)
        scores, places = parts.permute(2, 1, 0, 3).flatten(2).unbind()
        best = scores.topk(k, dim=1)
        return best.values.float(), places.gather(1, best.indices).long()

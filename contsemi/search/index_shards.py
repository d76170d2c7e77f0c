"""Several indexes searched as one: for rows that one device has no room for."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contsemi.search.index import Index

__all__ = ["Shards"]


class Shards:
    """Indexes, possibly on different devices, behind one interface.

    A place is ``number of shards * place in the shard + shard``, so that it
    holds while shards grow.

    Args:
        shards: at least one; same width and columns.
    """

    def __init__(self, shards: Sequence[Index]) -> None:
        if not shards:
            raise ValueError("shards: at least one index is needed")
        self.shards = list(shards)

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def _own(self, places: Tensor, shard: int) -> Tensor:
        """Which of the places lie in a shard, bool [n]."""
        return places % len(self.shards) == shard

    def add(self, rows: Tensor, **columns: Tensor) -> Tensor:
        """Takes rows [n, D] in where the fewest are; their places, int64 [n]."""
        shard = min(range(len(self.shards)), key=lambda i: len(self.shards[i]))
        device = self.shards[shard].device
        moved = {name: x.to(device) for name, x in columns.items()}
        places = self.shards[shard].add(rows.to(device), **moved)
        return (places * len(self.shards) + shard).to(rows.device)

    def replace(self, places: Tensor, rows: Tensor, **columns: Tensor) -> None:
        """Puts other rows [n, D] at places in use."""
        for number, shard in enumerate(self.shards):
            own = self._own(places, number)
            moved = {name: x[own].to(shard.device) for name, x in columns.items()}
            chosen = places[own] // len(self.shards)
            shard.replace(chosen.to(shard.device), rows[own].to(shard.device), **moved)

    def remove(self, places: Tensor) -> None:
        """The rows at int64 [n] places are gone."""
        for number, shard in enumerate(self.shards):
            own = places[self._own(places, number)] // len(self.shards)
            shard.remove(own.to(shard.device))

    def where(self, **values: Tensor) -> list[Tensor]:
        """The rows of each shard whose columns hold one of the given values."""
        return [shard.where(**values) for shard in self.shards]

    def column(self, name: str, places: Tensor) -> Tensor:
        """The entries [..., *] of a column at places [...] >= 0."""
        count = len(self.shards)
        entries = [shard[name] for shard in self.shards]
        found = entries[0].new_zeros(*places.shape, *entries[0].shape[1:]).to(places.device)
        for number, entry in enumerate(entries):
            own = self._own(places, number)
            found[own] = entry[(places[own] // count).to(entry.device)].to(found.device)
        return found

    def search(
        self, queries: Tensor, k: int, allow: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`contsemi.search.index.Index.search`; ``allow`` as :meth:`where` gives it."""
        scores, places = [], []
        for number, shard in enumerate(self.shards):
            chosen = None if allow is None else allow[number]
            found = shard.search(queries.to(shard.device), k, chosen)
            scores.append(found[0].to(queries.device))
            place = found[1].to(queries.device)
            places.append(torch.where(place < 0, place, place * len(self.shards) + number))
        best, order = torch.cat(scores, 1).topk(min(k, len(self)), dim=1)
        return best, torch.cat(places, 1).gather(1, order)

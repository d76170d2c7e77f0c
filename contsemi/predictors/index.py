"""The nearest kept rows vote, found by the index of embeddings."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from contsemi.losses.nearest import LOWEST
from contsemi.memory.voters import Voters
from contsemi.predictors.gathered import Gathered, unit
from contsemi.search.index import Index, Kind

CHUNK = 1024  # images whose votes are gathered at once


@dataclass(kw_only=True, eq=False)
class OfIndex(Gathered[Voters]):
    """k nearest neighbours, each weighed by its similarity."""

    nearest: int  # rows that vote
    per_class: int  # rows that are kept of each class, the surest first
    temperature: float  # of the cosines
    kind: str  # of index: memory.index says which there are

    _index: tuple[Voters, Index] | None = field(init=False, repr=False, default=None)

    def scores_by(self, statistics: Voters, features: Tensor) -> Tensor:
        """Logarithms of the shares of the votes; minus infinity where there was none."""
        index = self._searched(statistics)
        chunks = []
        for part in torch.split(unit(features), CHUNK):
            cosines, places = index.search(part, min(self.nearest, len(statistics.rows)))
            there = places >= 0  # of lists on a GPU a few may be missing, or all
            weights = (cosines / self.temperature).masked_fill(~there, LOWEST).softmax(1) * there
            known = statistics.probs[places.clamp(min=0)]
            chunks.append(torch.einsum("nk,nkc->nc", weights, known))
        return torch.cat(chunks).log()

    def _searched(self, kept: Voters) -> Index:
        if self._index is None or self._index[0] is not kept:
            kind: Kind = self.kind  # type: ignore[assignment]
            self._index = kept, Index(kept.rows, kind)
        return self._index[1]

    def joined(self, kept: Voters | None, features: Tensor, probs: Tensor) -> Voters:
        """The surest rows of both."""
        none = features.new_zeros(0, features.shape[1])
        before = kept or Voters(none, none[:, :0])
        return before.joined(unit(features), probs, per_class=self.per_class)

    def made_of(self, state: dict[str, Tensor]) -> Voters:
        """Rows and soft labels."""
        return Voters(**state)

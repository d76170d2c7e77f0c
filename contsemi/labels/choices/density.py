"""The images with the nearest neighbours, wherever they are."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.picks import density
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates, unit_rows


@dataclass(kw_only=True, eq=False)
class Density(ByEmbedding):
    """The densest images; they may all be of one kind."""

    neighbours: int  # least number of neighbours that make the density
    neighbours_share: float  # of the pool, where that is more

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """Densest first, of equal ones the first in the pool."""
        rows = unit_rows(candidates.embeddings)
        number = max(self.neighbours, round(self.neighbours_share * len(rows)))
        return density(rows, number).argsort(descending=True, stable=True)[:budget]

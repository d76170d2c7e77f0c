"""The images nearest to the centres of as many clusters as there are labels to buy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.distances import squared_distances
from contsemi.assign.lloyd import lloyd, spread_starts
from contsemi.assign.picks import best_of_each
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates, unit_rows


@dataclass(kw_only=True, eq=False)
class Kmeans(ByEmbedding):
    """One image a cluster of the unit embeddings."""

    iterations: int  # of Lloyd's algorithm
    avoid_labelled: bool  # whether centres start away from images that are labelled already

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """In the order of the clusters."""
        rows = unit_rows(candidates.embeddings)
        known = None
        if self.avoid_labelled and candidates.labelled is not None:
            known = unit_rows(candidates.labelled)
        starts = spread_starts(rows, budget, generator=generator, first=known)[-budget:]
        found = lloyd(rows, starts, iterations=self.iterations)
        apart = squared_distances(rows, found.centres)
        own = apart.gather(1, found.assignment[:, None])[:, 0]
        return best_of_each(-own, found.assignment, budget)

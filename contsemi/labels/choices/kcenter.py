"""Greedy k-centre: every image shall have a labelled one near it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.picks import farthest_first
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates, unit_rows


@dataclass(kw_only=True, eq=False)
class Kcenter(ByEmbedding):
    """Always the image that is farthest from all labelled ones; nothing is drawn."""

    avoid_labelled: bool  # whether images that are labelled already count as chosen

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """From the middle of the pool, or away from what is labelled."""
        known = None
        if self.avoid_labelled and candidates.labelled is not None:
            known = unit_rows(candidates.labelled)
        return farthest_first(unit_rows(candidates.embeddings), budget, known=known)

"""Chance: what every other policy has to beat."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.labels.choices.choice import Candidates, Choice

__all__ = ["Random"]


@dataclass(kw_only=True, eq=False)
class Random(Choice):
    """Images drawn evenly, without a look at their class."""

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """The first of a permutation."""
        device = candidates.embeddings.device
        order: Tensor = torch.randperm(len(candidates), generator=generator, device=device)
        return order[:budget]

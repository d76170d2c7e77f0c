"""No map: rows stay as they were stored."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.memory.drift.drift import Drift, Map


@dataclass(kw_only=True, eq=False)
class Still(Drift):
    """The space is taken to stand still."""

    def fitted(self, old: Tensor, new: Tensor, weights: Tensor, draw: torch.Generator) -> Map:
        """The identity."""
        return lambda rows: rows

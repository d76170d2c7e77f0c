"""An affine map by ridge regression."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.memory.drift.drift import Drift, Map
from contsemi.memory.moments import fit_affine


@dataclass(kw_only=True, eq=False)
class Linear(Drift):
    """The whole space moves by one affine map."""

    ridge: float  # pull towards the identity, relative to the mean variance

    def fitted(self, old: Tensor, new: Tensor, weights: Tensor, draw: torch.Generator) -> Map:
        """See :func:`contsemi.memory.moments.fit_affine`."""
        return fit_affine(old, new, weights=weights, ridge=self.ridge)

"""The contract of a drift map: stored embeddings in the space of a network that has moved on.

A map is fitted on images that both networks saw: those of the present task and the exemplars, the
only ones of old classes. How well it serves is measured by how well old classes are still found
among the rows that it carried (``scripts/bench_drift.py``).
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.discovery import Part
from contsemi.errors import MethodFailed
from contsemi.types.returned import tensor_of

Map = Callable[[Tensor], Tensor]  # rows [M, D] of the old space -> float [M, D] of the new one


class Drift(Part):
    """How an embedding space has moved: one file a map."""

    group: ClassVar[str] = "memory.drift"

    def fitted(self, old: Tensor, new: Tensor, weights: Tensor, draw: torch.Generator) -> Map:
        """A map from an old embedding space into a new one; its rows need not be of unit length.

        Args:
            old: float32 [n, D] unit embeddings by the old network, n > 0.
            new: float32 [n, D] unit embeddings of the same images by the new one.
            weights: [n] weight of each image, >= 0, not all zero.
            draw: for whatever is drawn; on the CPU.
        """
        raise NotImplementedError

    def fit(
        self, old: Tensor, new: Tensor, *, weights: Tensor | None = None, draw: torch.Generator
    ) -> Map:
        """The map of :meth:`fitted`, from unit rows to unit rows; that of no image keeps them.

        Args:
            old: [n, D], as there; n may be 0.
            new: [n, D], as there.
            weights: [n]; ``None`` for equal ones.
            draw: as there.
        """
        old, new = old.detach().float(), new.detach().float()
        weights = old.new_ones(len(old)) if weights is None else weights
        carry = self.fitted(old, new, weights, draw) if len(old) else None
        if len(old) and not callable(carry):
            raise MethodFailed.returned(self.fitted, carry, "a function of rows")

        def carry_unit(rows: Tensor) -> Tensor:
            with torch.no_grad():
                rows = rows.float()
                if carry is not None:
                    rows = tensor_of(self.fitted, carry(rows), *rows.shape)
                return functional.normalize(rows, dim=1)

        return carry_unit

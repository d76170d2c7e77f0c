"""Rows move as the images near them did."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.memory.drift.drift import Drift, Map

_PIECE = 4096  # rows at a time


@dataclass(kw_only=True, eq=False)
class Translation(Drift):
    """By the displacement of the images near a row.

    With ``neighbours`` only the nearest images have a say: a Hopfield step over stored pairs, whose
    temperature is ``width`` squared.

    Source: Yu et al. 2020 (SDC), with cosines in place of distances; arXiv 2602.00144 (HopDC).
    """

    width: float  # of the Gaussian that weighs displacements; SDC has 0.3
    neighbours: int  # that move a row; 0 for all images

    def fitted(self, old: Tensor, new: Tensor, weights: Tensor, draw: torch.Generator) -> Map:
        """The weighted mean of the displacements."""
        return _Moved(old, new - old, weights, self.width, self.neighbours)


class _Moved:
    """A row moves as the images near it did.

    Args:
        places: [n, D] unit embeddings.
        moves: [n, D] how far each went.
        weights: [n] what each counts for.
        width: of the Gaussian.
        neighbours: images that move a row; 0 for all.
    """

    def __init__(
        self, places: Tensor, moves: Tensor, weights: Tensor, width: float, neighbours: int
    ) -> None:
        self._places, self._moves, self._log_weights = places, moves, weights.log()
        self._width, self._most = width, min(neighbours or len(places), len(places))

    def __call__(self, rows: Tensor) -> Tensor:
        parts = []
        for part in torch.split(rows, _PIECE):
            # exp(-|x - y|^2 / (2 w^2)) of unit rows is exp(cos / w^2) up to a factor.
            near = part @ self._places.T / self._width**2 + self._log_weights
            if self._most < near.shape[1]:
                least = near.topk(self._most, dim=1).values[:, -1:]
                near = near.masked_fill(near < least, -torch.inf)
            parts.append(part + near.softmax(1) @ self._moves)
        return torch.cat(parts) if parts else rows

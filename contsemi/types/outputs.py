"""What a network says of images, and what is left of images of earlier tasks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from contsemi.types.soft_labels import SoftLabels


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one network says of N image rows; rows are view-major (all of view 1, then view 2, ...).

    Attributes:
        features: [N, F] output of the backbone.
        heads: name of a head -> its output [N, ...].
        directions: ``prototypes`` and ``clusters`` -> [C, D], without gradient: the products of
            unit embeddings with these are the scores in ``heads``. So embeddings kept from
            earlier steps can be scored by the network as it is now.
    """

    features: Tensor
    heads: Mapping[str, Tensor] = field(default_factory=dict)
    directions: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, head: str) -> Tensor:
        try:
            return self.heads[head]
        except KeyError:
            problem = f"no head {head!r}, as the needs name only {', '.join(self.heads) or 'none'}"
            raise KeyError(problem) from None

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, index: slice | Tensor) -> "Outputs":
        """The chosen rows of everything; the directions stay whole."""
        heads = {name: value[index] for name, value in self.heads.items()}
        return Outputs(self.features[index], heads, self.directions)

    def float(self) -> "Outputs":
        """Everything in float32, the precision of the losses (float64 stays)."""
        heads = {name: _wide(value) for name, value in self.heads.items()}
        return Outputs(_wide(self.features), heads, self.directions)


# a forward pass: images float [N, 3, s, s] and the heads asked for
Forward = Callable[[Tensor, Sequence[str]], Outputs]


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class RowTable(Protocol):
    """Rows that are made when they are asked for."""

    def __getitem__(self, places: Tensor) -> Tensor:
        """Float [..., D] of int64 [...]."""
        ...


@dataclass(frozen=True, slots=True)
class MemoryRows:
    """Rows of the embedding memory that stand for images of earlier tasks.

    Attributes:
        embeddings: float16 [M, D] unit rows in the space of the frozen previous network's
            projector, or what decodes some of them.
        probs: [M, C_old] soft labels over old columns; rows sum to 1.
        tasks: int64 [M], the task each row was written in.
        search: queries [N, D] and k -> scores and row numbers [N, k'] of the nearest rows, by the
            index; k' = min(k, M).
        votes: queries [N, D] and a temperature -> logarithms of the summed weight exp(cosine /
            temperature) of all rows, [N, C_old] for each class and [N] in all; differentiable in
            the queries.
    """

    embeddings: Tensor | RowTable
    probs: Tensor | SoftLabels
    tasks: Tensor
    search: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    votes: Callable[[Tensor, float], tuple[Tensor, Tensor]]

"""Where the random numbers of a batch come from, and what an operation makes of them."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """Uniform numbers for a batch, always as many as the policy asks for, whatever the images.

    Attributes:
        generator: the only source of randomness.
        rows: N, number of views in the batch.
    """

    generator: torch.Generator
    rows: int

    def uniform(self, low: float, high: float, columns: int = 1) -> Tensor:
        """Float [N, columns] on the generator's device, uniform in [low, high)."""
        shape = (self.rows, columns)
        unit = torch.rand(shape, generator=self.generator, device=self.generator.device)
        return unit if (low, high) == (0.0, 1.0) else unit.mul_(high - low).add_(low)

    def coin(self, probability: float) -> Tensor:
        """Bool [N], each true with the probability given."""
        return self.uniform(0.0, 1.0)[:, 0] < probability


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for one operation; every tensor among the fields has one row per view."""

    def rows(self, index: slice | Tensor) -> Self:
        """The same operation for some of the views, in the order of ``index``."""
        return replace(self, **{name: value[index] for name, value in self._tensors().items()})

    def followed_by(self, other: Self) -> Self:
        """The same operation for these views and behind them those of another draw of it."""
        tensors = self._tensors().items()
        return replace(self, **{n: torch.cat([x, getattr(other, n)]) for n, x in tensors})

    def to(self, device: torch.device | str) -> Self:
        """The same operation on another device."""
        return replace(self, **{name: value.to(device) for name, value in self._tensors().items()})

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, W] in [0, 1] -> the same kind; may write into ``images``."""
        raise NotImplementedError

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

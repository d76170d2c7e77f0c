"""A drawn view operation: a brightness of its own for each view."""

from dataclasses import dataclass

import torch

from contsemi.views.drawn.operation import Operation
from contsemi.views.draws import Drawn


@dataclass(frozen=True, slots=True)
class Brighter(Drawn):
    by: torch.Tensor  # [N]

    def apply(self, images):
        return (images + self.by[:, None, None, None]).clamp(0, 1)


@dataclass(kw_only=True, eq=False)
class Lightness(Operation):
    strength: float  # greatest change of brightness

    def draw(self, draws, side):
        return Brighter(draws.uniform(-self.strength, self.strength)[:, 0])

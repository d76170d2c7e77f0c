"""A distiller: a parameter of its own, drawn to an anchor."""

from dataclasses import dataclass

import torch

from contsemi.distillers.distiller import Distiller
from contsemi.types import Needs


@dataclass(kw_only=True, eq=False)
class Anchored(Distiller):
    """Keeps nothing but a number near another one."""

    anchor: float  # where the number is drawn to

    def __post_init__(self):
        super().__post_init__()
        self.place = torch.nn.Parameter(torch.zeros(()))
        self.needs = Needs()

    def terms(self, step):
        return {"anchor": (self.place - self.anchor).square()}

"""SimReg: features regressed on those of one or several frozen networks, by heads thrown away.

Source: Navaneet et al. 2021, "SimReg". The heads are what lets the features differ from the past's
and still say all that these said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from contsemi.distillers.distiller import Distiller
from contsemi.errors import InputError
from contsemi.losses.sphere import sphere_regression
from contsemi.models.expendable import regressor
from contsemi.models.heads import Head
from contsemi.types import Needs, Step


def _build(width: int, draw: torch.Generator, *, layers: int, linear: bool) -> nn.Module:
    return regressor(width, layers=layers, linear=linear)


@dataclass(kw_only=True, eq=False)
class SimReg(Distiller):
    """2 - 2 cos of regressed and frozen features, over all images of the batch."""

    shares: Sequence[float]  # weight of each frozen network, the newest first; as many as are kept
    layers: int  # of each head: 4, or 2
    linear: bool  # the released code's head of 2 layers: nothing between two linear maps

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers not in (2, 4) or (self.linear and self.layers != 2):
            raise InputError("distiller.layers", f"expected 4, or 2, got {self.layers}", "use 4")
        if not any(self.shares):
            problem = "has no share above 0, so that no frozen network counts"
            raise InputError("distiller.shares", problem, "write [1.0]")
        build = partial(_build, layers=self.layers, linear=self.linear)
        self.needs = Needs(
            heads=tuple(Head(name=name, on="features", build=build) for name in self._names()),
            pasts=len(self.shares),
            labelled_from="all",
        )

    def _names(self) -> list[str]:
        return [f"regressed_{i}" for i in range(len(self.shares))]

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``regression``: the weighted sum over the frozen networks that there are."""
        losses = []
        for age, (name, share) in enumerate(zip(self._names(), self.shares, strict=True)):
            pairs = step.with_past(age=age)
            if pairs:
                now = torch.cat([student[name] for student, _ in pairs])
                then = torch.cat([past.features for _, past in pairs])
                losses.append(share * sphere_regression(now, then))
        return {"regression": torch.stack(losses).sum()} if losses else {}

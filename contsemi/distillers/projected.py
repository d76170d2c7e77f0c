"""Projected distillation: the past's features are to be read off the present ones by a small MLP.

Source: the label-free first term of AdaGauss (Rypesc et al. 2024) and of BiCyc, on all images. Of
the network that a task began with, it holds pre-trained weights while the first task tunes them.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from contsemi.distillers.distiller import Distiller
from contsemi.losses.scaled_regression import scaled_regression
from contsemi.models.heads import Head, mlp
from contsemi.types import Needs, Step


def _build(width: int, draw: torch.Generator, *, hidden: int) -> nn.Module:
    return mlp(width, [hidden, width], norm=False, activation="gelu")


@dataclass(kw_only=True, eq=False)
class Projected(Distiller):
    """Squared error of projected features, in units of the frozen features' variance."""

    hidden: int  # width of the projector's hidden layer
    # The frozen network: that of the end of the task before (past), or that which the task began
    # with (start), in the first task too, where its weights are random unless they are pre-trained
    of: str

    def __post_init__(self) -> None:
        super().__post_init__()
        build = partial(_build, hidden=self.hidden)
        head = Head(name="projected", on="features", build=build)
        past = self.of == "past"
        self.needs = Needs(
            heads=(head,), pasts=int(past), start=float(not past), labelled_from="all"
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``projected``: over all images that both networks saw."""
        pairs = step.with_past() if self.of == "past" else step.with_start()
        if not pairs:
            return {}
        now = torch.cat([present["projected"] for present, _ in pairs])
        then = torch.cat([frozen.features for _, frozen in pairs])
        return {"projected": scaled_regression(now, then)}

"""DINO: each view predicts what a slow copy of the network says of the other large views.

Source: Caron et al. 2021, "Emerging properties in self-supervised vision transformers". The
teacher's scores of free clusters are centred, so that no cluster wins all, and sharpened by a low
temperature, so that not all are equal. The teacher's features predict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from contsemi.blocks.centre import Centre
from contsemi.objectives.free_clusters import FreeClusters
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Dino(FreeClusters):
    """Self-distillation with a centred teacher, which sees the large views."""

    idle: ClassVar = {
        **FreeClusters.idle,
        **Centre.idle,
        "directions": {"large_views": [0]},
    }

    directions: str  # gain: each cluster learns a factor of its scores; weight_norm: it does not
    teacher: Sequence[float]  # momentum of the EMA network at the start and the end of a task
    teacher_temperature: Sequence[float]  # at the first epoch of a task and after the warm-up
    teacher_warmup: int  # epochs of that warm-up, which is linear; 0 has the last one at once
    centre_momentum: float  # share of the centre kept in each step

    def __post_init__(self) -> None:
        super().__post_init__()
        self.centre = Centre(
            "clusters",
            momentum=self.centre_momentum,
            temperature=self.teacher_temperature,
            warmup=self.teacher_warmup,
            clusters=self.clusters,
        )
        self.needs = self.asks_with(self.directions, teacher=self.teacher)

    def assigned(self, step: Step, large: Outputs, wanted: Tensor | None) -> Tensor:
        """The teacher's clusters, centred and sharpened."""
        found: Tensor = self.centre(step, wanted)
        return found

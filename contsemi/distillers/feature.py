"""Feature distillation: embeddings, linearly mapped, stay where the frozen network had them.

Source: Kang et al. 2023 (NNCSL), the branch of its official code that its published settings
switch off (``distiller=nnd distiller.alpha=...`` mixes both).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.distillers.distiller import Distiller
from contsemi.losses.distil import feature_distillation
from contsemi.types import Needs, Step


@dataclass(kw_only=True, eq=False)
class FeatureDistillation(Distiller):
    """Mean squared difference of present and past embeddings of all rows of the batch."""

    # Whether a learned linear map carries the present embeddings over into the past's space;
    # without one the embeddings themselves have to stay
    linear: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.head = "mapped" if self.linear else "projector"
        self.needs = Needs(
            heads=("projector", *(("mapped",) if self.linear else ())), pasts=1, labelled_from="all"
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``features``: over all labelled and unlabelled views that both networks saw."""
        pairs = step.with_past()
        if not pairs:
            return {}
        now = torch.cat([present[self.head] for present, _ in pairs])
        then = torch.cat([past["projector"] for _, past in pairs])
        return {"features": feature_distillation(now, then)}

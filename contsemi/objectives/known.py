"""Nothing is trained: what the backbone knows already is all there is, and a predictor decides."""

from dataclasses import dataclass

from torch import Tensor

from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Known(Objective):
    """For a backbone that brings its weights: ``model.frozen=true``, ``init.weights=FILE``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = self.asks()

    def terms(self, step: Step) -> dict[str, Tensor]:
        """No terms."""
        return {}

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """It has no opinion: all classes are alike."""
        return outputs.features.new_zeros(len(outputs), self.num_seen)

"""The objective decides."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from contsemi.predictors.predictor import Asked, Predictor
from contsemi.types import Outputs


@dataclass(kw_only=True, eq=False)
class OfObjective(Predictor):
    """The scores of the objective's own ``predict``."""

    is_objective: ClassVar[bool] = True

    def scores(self, outputs: Outputs, asked: Asked) -> Tensor:
        """As the objective has them."""
        return asked.objective_scores(outputs)

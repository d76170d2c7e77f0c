"""The nearest labelled image decides: with raw pixels the floor that every method has to beat."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Nearest(Objective):
    """1-nearest-neighbour over the exemplars in the backbone's features; nothing is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = self.asks(supports_at_test=True)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """No terms."""
        return {}

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Minus the Euclidean distance to the nearest exemplar of each class."""
        if supports is None:
            raise RuntimeError("nearest needs exemplars to predict")
        rows, labels = supports
        distances = torch.cdist(outputs.features, rows.features)
        scores = distances.new_full((len(outputs), self.num_seen), torch.inf)
        where = labels.expand(len(outputs), -1)
        return -scores.scatter_reduce(1, where, distances, "amin").clamp(max=1e9)

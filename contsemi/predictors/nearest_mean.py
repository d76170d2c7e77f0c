"""The nearest class mean decides, by the angle."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contsemi.memory.class_sums import ClassSums
from contsemi.models.expendable import Unit
from contsemi.predictors.gathered import Gathered, as_linear, unit
from contsemi.predictors.predictor import Asked
from contsemi.types import Outputs


@dataclass(kw_only=True, eq=False)
class NearestMean(Gathered[ClassSums]):
    """The floor of all heads on frozen features (SimpleCIL, Zhou et al. 2023)."""

    temperature: float  # of the cosines

    def scores_by(self, statistics: ClassSums, features: Tensor) -> Tensor:
        """Cosines to the means, over the temperature; minus infinity for a class without one."""
        cosines = unit(features) @ unit(statistics.means).T / self.temperature
        return cosines.nan_to_num(nan=-torch.inf)

    def layers(self, statistics: ClassSums) -> nn.Module:
        """One linear layer of unit features."""
        weight = unit(statistics.means) / self.temperature
        known = statistics.counts > 0
        bias = torch.zeros(len(weight)).masked_fill(~known.cpu(), -torch.inf)
        return nn.Sequential(Unit(), as_linear(weight.nan_to_num(), bias))

    def space(self, outputs: Outputs, asked: Asked) -> tuple[Tensor, Tensor]:
        """Features, and the means of the classes."""
        return self.rows(outputs.features), self.statistics(asked).means

    def joined(self, kept: ClassSums | None, features: Tensor, probs: Tensor) -> ClassSums:
        """Sums of both."""
        none = features.new_zeros(0, features.shape[1])
        return (kept or ClassSums(none, none[:, 0])).joined(features, probs)

    def made_of(self, state: dict[str, Tensor]) -> ClassSums:
        """Sums and counts."""
        return ClassSums(**state)

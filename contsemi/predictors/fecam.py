"""Mahalanobis distances to the classes, each by its own covariance, decide."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from contsemi.memory.class_covariances import ClassCovariances, tukey
from contsemi.predictors.gathered import Gathered
from contsemi.predictors.predictor import Asked
from contsemi.types import Outputs


@dataclass(kw_only=True, eq=False)
class FeCAM(Gathered[ClassCovariances]):
    """FeCAM (Goswami et al. 2023)."""

    diagonal: float  # how often the mean variance is added to the diagonal
    between: float  # how often the mean covariance is added off it
    power: float  # of the features, which have to be positive for another than 1

    _whitened: tuple[ClassCovariances, Tensor] | None = field(init=False, repr=False, default=None)

    def scores_by(self, statistics: ClassCovariances, features: Tensor) -> Tensor:
        """Minus half the squared distances; minus infinity for a class that nothing is known of."""
        if self._whitened is None or self._whitened[0] is not statistics:
            found = statistics.whitening(diagonal=self.diagonal, between=self.between)
            self._whitened = statistics, found
        found = statistics.distances(features, self._whitened[1])
        return (-found / 2).masked_fill(statistics.counts == 0, -torch.inf)

    def rows(self, features: Tensor) -> Tensor:
        """Features as they are kept: to the power, then as in all predictors."""
        return super().rows(tukey(features, power=self.power))

    def joined(
        self, kept: ClassCovariances | None, features: Tensor, probs: Tensor
    ) -> ClassCovariances:
        """Both; an image of an earlier class makes its statistics more exact."""
        return (kept or ClassCovariances.none(features.shape[1], features.device)).joined(
            features, probs
        )

    def made_of(self, state: dict[str, Tensor]) -> ClassCovariances:
        """Means, covariances and counts."""
        return ClassCovariances(**state)

    def bytes_of(self, width: int, classes: int) -> int:
        """Of means, covariances and counts."""
        return 4 * classes * (width * (width + 1) + 1)

    def space(self, outputs: Outputs, asked: Asked) -> tuple[Tensor, Tensor]:
        """Features, and the means of the classes."""
        kept = self.statistics(asked)
        return self.rows(outputs.features), kept.means.where(kept.counts[:, None] > 0, torch.nan)

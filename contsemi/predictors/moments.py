"""Class means and one covariance decide, kept of each class when its task ends."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from contsemi.memory.moments import Moments, fit_affine
from contsemi.predictors.gathered import Gathered, as_linear
from contsemi.predictors.predictor import Asked, Material
from contsemi.types import Outputs

__all__ = ["ClassMoments"]


@dataclass(kw_only=True, eq=False)
class ClassMoments(Gathered[Moments]):
    """Linear discriminant analysis by moments that follow the features from task to task."""

    ridge: float  # pull of the map that carries the moments along towards no drift

    needs_past: ClassVar[bool] = True
    needs_still: ClassVar[bool] = False

    def scores_by(self, statistics: Moments, features: Tensor) -> Tensor:
        """Log-likelihood ratios, see :meth:`contsemi.memory.moments.Moments.scores`."""
        return statistics.scores(features, shrinkage=self.shrinkage)

    def layers(self, statistics: Moments) -> nn.Module:
        """One linear layer: means and covariance are folded into it."""
        weight, bias = statistics.linear(shrinkage=self.shrinkage)
        return as_linear(weight, bias)

    def strangeness(self, statistics: Moments, features: Tensor) -> Tensor:
        """Relative Mahalanobis distances."""
        return statistics.strangeness(features, shrinkage=self.shrinkage)

    def space(self, outputs: Outputs, asked: Asked) -> tuple[Tensor, Tensor]:
        """Features, and the means of the classes."""
        moments = self.statistics(asked)
        means = moments.means.where(moments.counts[:, None] > 0, torch.nan)
        return self.rows(outputs.features), means

    def carried(self, kept: Moments, material: Material) -> Moments:
        """By the affine map that both networks' features of the same images tell of."""
        if material.moved is None:
            return kept
        old, new, weights = material.moved
        return kept.carried(fit_affine(old, new, weights=weights, ridge=self.ridge))

    def joined(self, kept: Moments | None, features: Tensor, probs: Tensor) -> Moments:
        """Moments of both."""
        kept = Moments.none(features.shape[1], features.device) if kept is None else kept
        return kept.joined(features, probs)

    def made_of(self, state: dict[str, Tensor]) -> Moments:
        """Means, covariance and counts."""
        return Moments(**state)

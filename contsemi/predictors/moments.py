"""Class means and one covariance decide, kept of each class when its task ends."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from contsemi.memory.gate import fits
from contsemi.memory.moments import Moments, fit_affine
from contsemi.predictors.gathered import Gathered, as_linear
from contsemi.predictors.predictor import Asked, Material
from contsemi.types import Outputs


@dataclass(kw_only=True, eq=False)
class ClassMoments(Gathered[Moments]):
    """Linear discriminant analysis by moments that follow the features from task to task."""

    idle: ClassVar = {"balance": {"rounds": [0]}}  # its scores are of a shrunken covariance

    ridge: float  # pull of the map that carries the moments along towards no drift

    needs_past: ClassVar[bool] = True
    needs_still: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.had: Tensor | None = None  # ids that have counted, of pools that may overlap
        self._counting: Tensor | None = None

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

    def _with(self, kept: Moments | None, material: Material) -> Moments:
        """Of a pool that may hold anything only images that fit a class count, and each once."""
        self.left_out = None
        if material.mixed:
            material = replace(material, probs=self._those_that_fit(material, kept))
        return super()._with(kept, material)

    def _those_that_fit(self, material: Material, kept: Moments | None) -> Tensor:
        """Soft labels [n, C]; zeros for images that fit no class, or have counted before."""
        old = material.ids[:0] if self.had is None else self.had.to(material.ids.device)
        new = (material.probs.sum(1) > 0) & ~torch.isin(material.ids, old)
        if kept is None:
            kept = Moments.none(material.labelled.shape[1], material.labelled.device)
        known = (kept.counts > 0).nonzero().flatten()
        fit = new & fits(
            material.features,
            material.probs.argmax(1),
            material.labelled,
            material.labels,
            means=kept.means[known],
            of=known,
        )
        self._counting = torch.unique(torch.cat([old, material.ids[fit], material.labelled_ids]))
        self.left_out = 1 - float(fit.sum() / new.sum().clamp_min(1)) if new.any() else 0.0
        return material.probs * fit[:, None]

    def changed(self) -> None:
        """They are worked out anew."""
        super().changed()
        self._counting = None

    def end(self, asked: Asked) -> None:
        """Keeps the present ones, and which images have counted."""
        self.statistics(asked)
        counting, left_out = self._counting, self.left_out
        super().end(asked)
        self.left_out = left_out
        self.had = self.had if counting is None else counting

    @property
    def memory_bytes(self) -> int:
        """Of means, covariance and counts, and of the ids that have counted."""
        return super().memory_bytes + (0 if self.had is None else self.had.nbytes)

    def state(self) -> dict[str, Tensor]:
        """Means, covariance and counts; ids that have counted, where pools may overlap."""
        return super().state() | ({} if self.had is None else {"had": self.had})

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes them back."""
        rest = dict(state)
        self.had = rest.pop("had", None)
        super().load(rest)

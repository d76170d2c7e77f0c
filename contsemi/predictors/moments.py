"""Class means and one covariance decide, kept of each class when its task ends."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.memory.moments import Moments, fit_affine
from contsemi.predictors.predictor import Asked, Predictor
from contsemi.types import Outputs

__all__ = ["ClassMoments"]


@dataclass(kw_only=True, eq=False)
class ClassMoments(Predictor):
    """Linear discriminant analysis by moments that follow the features from task to task."""

    ridge: float  # pull of the map that carries the moments along towards no drift
    shrinkage: float  # share of a round covariance in that of the classes

    needs_past: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.kept: Moments | None = None
        self._present: Moments | None = None

    def scores(self, outputs: Outputs, asked: Asked) -> Tensor:
        """Log-likelihood ratios, see :meth:`contsemi.memory.moments.Moments.scores`."""
        return self.moments(asked).scores(outputs.features, shrinkage=self.shrinkage)

    def space(self, outputs: Outputs, asked: Asked) -> tuple[Tensor, Tensor]:
        """Features, and the means of the classes."""
        moments = self.moments(asked)
        return outputs.features, moments.means.where(moments.counts[:, None] > 0, torch.nan)

    def moments(self, asked: Asked) -> Moments:
        """Of all seen classes, in the present network's features."""
        if asked.between_tasks and self.kept is not None:
            return self.kept
        if self._present is None:
            self._present = self.present(asked)
        return self._present

    @torch.no_grad()
    def present(self, asked: Asked) -> Moments:
        """The kept moments, carried into the features of now, and those of the task's images.

        A task's unlabelled images count for the classes that the objective gives them, its
        labelled ones for their own. Nothing of an earlier task is read but the exemplars.
        """
        material = asked.material()
        given = functional.one_hot(material.labels, material.probs.shape[1])
        kept = self.kept
        if kept is None:
            kept = Moments.none(material.labelled.shape[1], material.labelled.device)
        elif material.moved is not None:
            old, new, weights = material.moved
            kept = kept.carried(fit_affine(old, new, weights=weights, ridge=self.ridge))
        return kept.joined(
            torch.cat([material.features, material.labelled]),
            torch.cat([material.probs, given.to(material.probs.dtype)]),
        )

    def changed(self) -> None:
        """They are worked out anew."""
        self._present = None

    def end(self, asked: Asked) -> None:
        """Keeps the present ones."""
        self.kept = self.moments(asked)

    @property
    def memory_bytes(self) -> int:
        """Of means, covariance and counts."""
        return 0 if self.kept is None else self.kept.memory_bytes

    def state(self) -> dict[str, Tensor]:
        """Means, covariance and counts."""
        return {} if self.kept is None else self.kept.state()

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes them back."""
        self.kept = Moments(**state) if state else None

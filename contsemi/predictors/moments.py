"""Class means and one covariance decide, kept of each class when its task ends."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.memory.gate import fits
from contsemi.memory.moments import Moments, fit_affine
from contsemi.predictors.predictor import Asked, Material, Predictor
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
        self.counted: Tensor | None = None  # ids that have counted, of pools that may overlap
        self._counting: Tensor | None = None
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
        labelled ones for their own. Nothing of an earlier task is read but the exemplars. Of a
        pool that may hold anything, or images of other tasks' pools, only those count that fit a
        class, and each once.
        """
        material = asked.material()
        given = functional.one_hot(material.labels, material.probs.shape[1])
        kept = self.kept
        if kept is None:
            kept = Moments.none(material.labelled.shape[1], material.labelled.device)
        elif material.moved is not None:
            old, new, weights = material.moved
            kept = kept.carried(fit_affine(old, new, weights=weights, ridge=self.ridge))
        self.left_out, probs = None, material.probs
        if material.mixed:
            probs = self._those_that_fit(material, kept)
        return kept.joined(
            torch.cat([material.features, material.labelled]),
            torch.cat([probs, given.to(probs.dtype)]),
        )

    def _those_that_fit(self, material: Material, kept: Moments) -> Tensor:
        """Soft labels [n, C]; zeros for images that fit no class, or have counted before."""
        old = material.ids[:0] if self.counted is None else self.counted.to(material.ids.device)
        new = (material.probs.sum(1) > 0) & ~torch.isin(material.ids, old)
        known = (kept.counts > 0).nonzero().flatten()
        fit = new & fits(
            material.features,
            material.probs.argmax(1),
            material.labelled,
            material.labels,
            means=kept.means[known],
            of=known,
        )
        self._counting = torch.cat([old, material.ids[fit], material.labelled_ids]).unique()
        self.left_out = 1 - float(fit.sum() / new.sum().clamp_min(1)) if new.any() else 0.0
        return material.probs * fit[:, None]

    def changed(self) -> None:
        """They are worked out anew."""
        self._present, self._counting = None, None

    def end(self, asked: Asked) -> None:
        """Keeps the present ones."""
        self.kept = self.moments(asked)
        self.counted = self.counted if self._counting is None else self._counting

    @property
    def memory_bytes(self) -> int:
        """Of means, covariance and counts, and of the ids that have counted."""
        ids = 0 if self.counted is None else self.counted.nbytes
        return ids + (0 if self.kept is None else self.kept.memory_bytes)

    def state(self) -> dict[str, Tensor]:
        """Means, covariance and counts; ids that have counted, where pools may overlap."""
        ids = {} if self.counted is None else {"counted": self.counted}
        return ids | ({} if self.kept is None else self.kept.state())

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes them back."""
        moments = dict(state)
        self.counted = moments.pop("counted", None)
        self.kept = Moments(**moments) if moments else None

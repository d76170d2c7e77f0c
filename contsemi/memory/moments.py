"""What is kept of past images as numbers alone: a mean per class and one covariance.

Features of a class are taken for a Gaussian around its mean, with a covariance that all classes
share. That makes a linear classifier in which old and new classes are on the same terms, however
few images of the old ones are left: no head has to be trained on all of them at once. When the
network moves on, an affine map fitted on images that both networks saw carries the moments over.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from contsemi.memory.shrinking import oracle_shrinkage


@dataclass(frozen=True, slots=True)
class AffineMap:
    """x -> x @ matrix + offset, from an old space of features into a new one.

    Attributes:
        matrix: [F, F].
        offset: [F].
    """

    matrix: Tensor
    offset: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows [n, F] in the new space."""
        return rows @ self.matrix + self.offset


def fit_affine(old: Tensor, new: Tensor, *, weights: Tensor, ridge: float) -> AffineMap:
    """The affine map that best carries old features into new ones, by weighted ridge regression.

    Args:
        old: [n, F] features of images by the old network.
        new: [n, F] features of the same images by the new one.
        weights: [n] weight of each image, >= 0, not all zero.
        ridge: pull towards the identity, relative to the mean variance of the old features.
    """
    weights = (weights / weights.sum())[:, None]
    old_mean, new_mean = (weights * old).sum(0), (weights * new).sum(0)
    old, new = old - old_mean, new - new_mean
    gram = old.T @ (weights * old)
    eye = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
    # The least float keeps the system solvable where all features are the same.
    pull = (ridge * gram.trace() / len(gram) + torch.finfo(gram.dtype).tiny ** 0.5) * eye
    matrix = torch.linalg.solve(gram + pull, old.T @ (weights * new) + pull)
    return AffineMap(matrix, new_mean - old_mean @ matrix)


@dataclass(frozen=True, slots=True)
class Moments:
    """Class means and the covariance within classes, of features.

    Attributes:
        means: [C, F]; rows of classes that nothing is known of are zero.
        covariance: [F, F], within classes.
        counts: [C], images behind each mean; soft labels make them fractional.
    """

    means: Tensor
    covariance: Tensor
    counts: Tensor

    @staticmethod
    def none(num_features: int, device: torch.device) -> "Moments":
        """The moments of no image."""
        return Moments(
            torch.zeros(0, num_features, device=device),
            torch.zeros(num_features, num_features, device=device),
            torch.zeros(0, device=device),
        )

    @property
    def memory_bytes(self) -> int:
        """Bytes of what is kept: means, counts and one half of the symmetric covariance."""
        classes, features = self.means.shape
        return 4 * (classes * (features + 1) + features * (features + 1) // 2) if classes else 0

    def carried(self, drift: AffineMap) -> "Moments":
        """The same moments after the features have moved."""
        return Moments(
            self.means @ drift.matrix + drift.offset * (self.counts > 0)[:, None],
            drift.matrix.T @ self.covariance @ drift.matrix,
            self.counts,
        )

    def joined(self, features: Tensor, probs: Tensor) -> "Moments":
        """These moments and those of more images.

        Args:
            features: [n, F].
            probs: [n, C] soft labels over all columns, at least as many as there are means.
        """
        probs = probs.to(features.dtype)
        grown = len(probs.T) - len(self.counts)
        before = torch.nn.functional.pad(self.counts, (0, grown))
        old_means = torch.nn.functional.pad(self.means, (0, 0, 0, grown))
        more, tiny = probs.sum(0), torch.finfo(features.dtype).tiny
        counts = before + more
        sums = before[:, None] * old_means + probs.T @ features
        means = sums / counts.clamp_min(tiny)[:, None]
        own_means = probs.T @ features / more.clamp_min(1e-6)[:, None]
        # Sum of p (x - m)(x - m)^T over images and classes, without an [n, C, F] array.
        scatter = features.T @ (probs.sum(1, keepdim=True) * features)
        scatter = scatter - own_means.T @ (more[:, None] * own_means)
        # Of a class that comes again both means lie away from the one of all its images.
        apart = own_means - old_means
        both = (before / counts.clamp_min(tiny) * more)[:, None]
        scatter = scatter + apart.T @ (both * apart)
        total = self.counts.sum() + probs.sum()
        covariance = (self.counts.sum() * self.covariance + scatter) / total.clamp_min(1e-6)
        return Moments(means, covariance, counts)

    def shrinkage(self) -> Tensor:
        """The share of a round covariance that the images behind this one call for."""
        degrees = self.counts.sum() - (self.counts > 0).sum()  # a mean was taken from each class
        return oracle_shrinkage(self.covariance, degrees.clamp_min(0))

    def scores(self, features: Tensor, *, shrinkage: float | Literal["auto"]) -> Tensor:
        """Log-likelihoods of the classes, up to a constant of each image.

        Args:
            features: [N, F].
            shrinkage: share of a round covariance of the same size, in [0, 1]; needed where there
                are few images for so many features. ``auto`` takes that of :meth:`shrinkage`.

        Returns:
            [N, C]; minus infinity for classes that nothing is known of.

        Source: linear discriminant analysis with equal priors; Ledoit and Wolf 2004 for shrinking.
        """
        weight, bias = self.linear(shrinkage=shrinkage)
        scores: Tensor = features.to(weight.dtype) @ weight.T + bias
        return scores

    def linear(self, *, shrinkage: float | Literal["auto"]) -> tuple[Tensor, Tensor]:
        """The same as weights [C, F] and bias [C] of a linear layer."""
        directions = torch.linalg.solve(self._rounded(shrinkage), self.means.T)
        offsets = 0.5 * (self.means * directions.T).sum(1)
        return directions.T, (-offsets).masked_fill(self.counts == 0, -torch.inf)

    def _rounded(self, shrinkage: float | Literal["auto"]) -> Tensor:
        size = len(self.covariance)
        eye = torch.eye(size, device=self.covariance.device, dtype=self.covariance.dtype)
        width = (self.covariance.trace() / size).clamp_min(1e-12)
        share = self.shrinkage() if shrinkage == "auto" else shrinkage
        return (1 - share) * self.covariance + share * width * eye

    def strangeness(self, features: Tensor, *, shrinkage: float | Literal["auto"]) -> Tensor:
        """How much farther images are from the nearest class than from all images together.

        Args:
            features: [N, F].
            shrinkage: as in :meth:`scores`.

        Returns:
            [N], differences of squared Mahalanobis distances; greater for what is of no class.

        Source: Ren et al. 2021, "A simple fix to Mahalanobis distance", relative distances.
        """
        known = self.counts > 0
        means, weights = self.means[known], self.counts[known, None] / self.counts.sum()
        centre = (weights * means).sum(0)
        apart = means - centre
        within = self._rounded(shrinkage)
        whole = within + apart.T @ (weights * apart)
        rows = features.to(within.dtype)
        of_all = rows - centre
        background = (of_all * torch.linalg.solve(whole, of_all.T).T).sum(1)
        solved = torch.linalg.solve(within, torch.cat([rows, means]).T).T
        own = (rows * solved[: len(rows)]).sum(1)
        offsets = (means * solved[len(rows) :]).sum(1)
        nearest = (offsets - 2 * rows @ solved[len(rows) :].T).min(1).values
        strange: Tensor = own + nearest - background
        return strange

    def state(self) -> dict[str, Tensor]:
        """All tensors, for a checkpoint."""
        return {"means": self.means, "covariance": self.covariance, "counts": self.counts}

"""A mean and a covariance of each class, made comparable: Mahalanobis distances of few images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ClassCovariances", "normalised_covariance", "tukey"]


def tukey(features: Tensor, *, power: float) -> Tensor:
    """Features [n, F] >= 0 to a power, which makes skewed ones more like a Gaussian's.

    Source: Tukey 1977, ladder of powers; Goswami et al. 2023 (FeCAM), eq. 9.
    """
    return features.clamp_min(0) ** power if power != 1 else features


def normalised_covariance(covariance: Tensor, *, diagonal: float, between: float) -> Tensor:
    """A covariance [C, F, F], shrunk and then divided by its standard deviations.

    Args:
        covariance: [C, F, F].
        diagonal: how often the mean variance is added to the diagonal.
        between: how often the mean covariance is added off it.

    Source: Goswami et al. 2023 (FeCAM), eq. 7 and 8.
    """
    size = covariance.shape[-1]
    eye = torch.eye(size, device=covariance.device, dtype=covariance.dtype)
    variance = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    rest = (covariance.sum((-2, -1)) - covariance.diagonal(dim1=-2, dim2=-1).sum(-1))[
        ..., None, None
    ] / max(size * (size - 1), 1)
    shrunk = covariance + diagonal * variance * eye + between * rest * (1 - eye)
    widths = shrunk.diagonal(dim1=-2, dim2=-1).clamp_min(torch.finfo(shrunk.dtype).tiny).sqrt()
    return shrunk / widths[..., :, None] / widths[..., None, :]


@dataclass(frozen=True, slots=True)
class ClassCovariances:
    """Of each class.

    Attributes:
        means: [C, F].
        covariances: [C, F, F].
        counts: [C], images behind them.
    """

    means: Tensor
    covariances: Tensor
    counts: Tensor

    @staticmethod
    def of(features: Tensor, probs: Tensor) -> "ClassCovariances":
        """Of images [n, F] by soft classes [n, C], a class at a time: [C, n, F] may be large."""
        probs = probs.to(features.dtype)
        counts = probs.sum(0)
        means = probs.T @ features / counts.clamp_min(1e-6)[:, None]
        covariances = []
        for number in range(probs.shape[1]):
            apart = features - means[number]
            covariances.append(apart.T @ (probs[:, number : number + 1] * apart))
        found = torch.stack(covariances) / counts.clamp_min(1e-6)[:, None, None]
        return ClassCovariances(means, found, counts)

    def distances(self, features: Tensor, *, diagonal: float, between: float) -> Tensor:
        """Squared Mahalanobis distances [n, C] of features and means of unit length."""
        whole = normalised_covariance(self.covariances, diagonal=diagonal, between=between)
        rows, centres = functional.normalize(features, dim=1), functional.normalize(self.means)
        found = []
        for matrix, centre in zip(whole, centres, strict=True):
            apart = rows - centre
            found.append((apart * torch.linalg.solve(matrix, apart.T).T).sum(1))
        return torch.stack(found, dim=1)

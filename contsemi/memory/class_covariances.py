"""A mean and a covariance of each class, made comparable: Mahalanobis distances of few images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


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
    def none(num_features: int, device: torch.device) -> "ClassCovariances":
        """Of no class."""
        means = torch.zeros(0, num_features, device=device)
        return ClassCovariances(means, means.new_zeros(0, *[num_features] * 2), means[:, 0])

    def joined(self, features: Tensor, probs: Tensor) -> "ClassCovariances":
        """These and those of images [n, F] by soft classes [n, C], C at least as before.

        A class at a time: an array [C, n, F] may be large.
        """
        probs = probs.to(features.dtype)
        new = probs.shape[1] - len(self.counts)
        means = functional.pad(self.means, (0, 0, 0, new))
        covariances = functional.pad(self.covariances, (0, 0, 0, 0, 0, new))
        before = functional.pad(self.counts, (0, new))
        counts = before + probs.sum(0)
        for number in (probs.sum(0) > 0).nonzero()[:, 0].tolist():
            weight = probs[:, number : number + 1]
            own = (weight * features).sum(0) / weight.sum()
            apart = features - own
            share = before[number] / counts[number]
            between = means[number] - own
            covariances[number] = (
                share * covariances[number]
                + apart.T @ (weight * apart) / counts[number]
                + share * (1 - share) * torch.outer(between, between)
            )
            means[number] = share * means[number] + (1 - share) * own
        return ClassCovariances(means, covariances, counts)

    @property
    def memory_bytes(self) -> int:
        """Bytes of means, counts and one half of each covariance."""
        classes, size = self.means.shape
        return 4 * classes * (size + 1 + size * (size + 1) // 2)

    def state(self) -> dict[str, Tensor]:
        """All tensors, for a checkpoint."""
        return {"means": self.means, "covariances": self.covariances, "counts": self.counts}

    def whitening(self, *, diagonal: float, between: float) -> Tensor:
        """Matrices [C, F, F] by which a class's covariance becomes the identity, zeros for none.

        What costs most of :meth:`distances`, and stays the same for all images that are asked.
        """
        eye = torch.eye(self.means.shape[1], device=self.means.device, dtype=self.means.dtype)
        found = torch.zeros_like(self.covariances)
        for number in (self.counts > 0).nonzero()[:, 0].tolist():
            covariance = self.covariances[number]
            if not covariance.any():  # of one image: as round as can be
                found[number] = eye
                continue
            matrix = normalised_covariance(covariance, diagonal=diagonal, between=between)
            root = torch.linalg.cholesky(matrix)
            found[number] = torch.linalg.solve_triangular(root, eye, upper=False)
        return found

    def distances(self, features: Tensor, whitening: Tensor) -> Tensor:
        """Squared Mahalanobis distances [n, C] of features and means of unit length.

        Args:
            features: [n, F].
            whitening: of :meth:`whitening`.
        """
        rows, centres = functional.normalize(features, dim=1), functional.normalize(self.means)
        found = [
            ((rows - centre) @ matrix.T).square().sum(1)
            for matrix, centre in zip(whitening, centres, strict=True)
        ]
        return torch.stack(found, dim=1)

"""Ridge regression on many random features: sums that only grow, so nothing is forgotten."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RandomRidge:
    """Sums over images, in a space of random features.

    Attributes:
        projection: [F, R], drawn once.
        gram: [R, R], sum of the outer products of random features.
        sums: [R, C], sum of random features by class.
    """

    projection: Tensor
    gram: Tensor
    sums: Tensor

    @staticmethod
    def none(projection: Tensor) -> "RandomRidge":
        """The sums over no image, for a projection [F, R] drawn from N(0, 1)."""
        width = projection.shape[1]
        return RandomRidge(
            projection, projection.new_zeros(width, width), projection.new_zeros(width, 0)
        )

    def raised(self, features: Tensor) -> Tensor:
        """Random features relu(x W) [n, R] of features [n, F]."""
        return (features @ self.projection).relu()

    def joined(self, features: Tensor, probs: Tensor) -> "RandomRidge":
        """These sums and those of more images.

        Args:
            features: [n, F].
            probs: [n, C] soft labels over all columns, at least as many as there are.
        """
        rows = self.raised(features)
        grown = probs.shape[1] - self.sums.shape[1]
        sums = torch.nn.functional.pad(self.sums, (0, grown)) + rows.T @ probs.to(rows.dtype)
        weights = probs.sum(1, keepdim=True).to(rows.dtype)
        return RandomRidge(self.projection, self.gram + rows.T @ (weights * rows), sums)

    def weights(self, ridge: float) -> Tensor:
        """The regression's weights [R, C].

        Args:
            ridge: penalty on their squares, relative to the mean square of the random features.
        """
        size = len(self.gram)
        pull = ridge * self.gram.trace() / size + torch.finfo(self.gram.dtype).tiny ** 0.5
        eye = torch.eye(size, device=self.gram.device, dtype=self.gram.dtype)
        found: Tensor = torch.linalg.solve(self.gram + pull * eye, self.sums)
        return found

    @property
    def memory_bytes(self) -> int:
        """Bytes of what is kept: one half of the symmetric gram matrix, and the sums.

        The projection can be drawn again.
        """
        size, classes = self.sums.shape
        return 4 * (size * (size + 1) // 2 + size * classes)

    def state(self) -> dict[str, Tensor]:
        """The sums, and how wide the features are that the projection takes."""
        return {
            "gram": self.gram,
            "sums": self.sums,
            "num_features": torch.tensor(len(self.projection)),
        }

"""Sums of features by class: a mean of each, and nothing else."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class ClassSums:
    """Over images, by soft classes.

    Attributes:
        sums: [C, F] of features.
        counts: [C], images behind them; soft labels make them fractional.
    """

    sums: Tensor
    counts: Tensor

    def joined(self, features: Tensor, probs: Tensor) -> "ClassSums":
        """These sums and those of images [n, F] by soft classes [n, C], C at least as before."""
        probs = probs.to(features.dtype)
        grown = probs.shape[1] - len(self.counts)
        sums = functional.pad(self.sums, (0, 0, 0, grown)) + probs.T @ features
        return ClassSums(sums, functional.pad(self.counts, (0, grown)) + probs.sum(0))

    @property
    def means(self) -> Tensor:
        """[C, F]; NaN for a class that nothing is known of."""
        counts = self.counts[:, None]
        return (self.sums / counts).where(counts > 0, torch.nan)

    @property
    def memory_bytes(self) -> int:
        """Bytes of both."""
        return 4 * (self.sums.numel() + self.counts.numel())

    def state(self) -> dict[str, Tensor]:
        """Both."""
        return {"sums": self.sums, "counts": self.counts}

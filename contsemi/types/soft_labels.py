"""Soft labels of many rows, of which each keeps its likeliest classes alone."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, eq=False)
class SoftLabels:
    """Probabilities [M, C], zero but for k classes a row: 6 k bytes in place of 2 C.

    Attributes:
        values: float16 [M, k], in descending order; rows sum to 1.
        columns: int32 [M, k], their classes.
        classes: C.
    """

    values: Tensor
    columns: Tensor
    classes: int

    @staticmethod
    def of(probs: Tensor, kept: int) -> "SoftLabels":
        """The likeliest classes of each row, whose probabilities then sum to 1.

        Args:
            probs: float [M, C].
            kept: k; all of the classes where there are fewer, and zeros beside them.

        >>> SoftLabels.of(torch.tensor([[0.6, 0.3, 0.1]]), 2)[:]
        tensor([[0.6665, 0.3333, 0.0000]])
        """
        values, columns = probs.float().topk(min(kept, probs.shape[1]), dim=1)
        values = values / values.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        classes, missing = probs.shape[1], (0, kept - values.shape[1])
        # a place of no class beside those that there are, which no other entry of the row has
        columns = functional.pad(columns.int(), missing, value=classes)
        return SoftLabels(functional.pad(values.half(), missing), columns, classes)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """M and C."""
        return len(self), self.classes

    @property
    def nbytes(self) -> int:
        """Bytes of values and columns."""
        return self.values.nbytes + self.columns.nbytes

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Probabilities float32 [..., C] of some rows."""
        values, columns = self.values[index].float(), self.columns[index].long()
        whole = values.new_zeros((*values.shape[:-1], self.classes + 1))
        return whole.scatter(-1, columns, values)[..., : self.classes]

    def rows(self, index: Tensor) -> "SoftLabels":
        """The labels of some rows int64 [n]."""
        return SoftLabels(self.values[index], self.columns[index], self.classes)

    def joined(self, others: "SoftLabels") -> "SoftLabels":
        """These rows and then others, over the classes of either."""
        values = torch.cat([self.values, others.values])
        columns = torch.cat([self.columns, others.columns])
        return SoftLabels(values, columns, max(self.classes, others.classes))

    def best(self) -> tuple[Tensor, Tensor]:
        """Probability float32 [M] of the likeliest class of each row, and that class int64 [M]."""
        return self.values[:, 0].float(), self.columns[:, 0].long()

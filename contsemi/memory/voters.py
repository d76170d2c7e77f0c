"""Rows with soft labels, the surest of each class, to be searched for the nearest."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Voters:
    """Of all classes so far.

    Attributes:
        rows: [M, F], of length one.
        probs: [M, C], soft labels.
    """

    rows: Tensor
    probs: Tensor

    def joined(self, rows: Tensor, probs: Tensor, *, per_class: int) -> "Voters":
        """These and the surest of more, at most so many of each class; older ones stay first.

        Args:
            rows: [n, F], of length one.
            probs: [n, C], C at least as before; a row of zeros has no say and is left out.
            per_class: most rows whose likeliest class is the same.
        """
        old = functional.pad(self.probs, (0, probs.shape[1] - self.probs.shape[1]))
        rows, probs = torch.cat([self.rows, rows]), torch.cat([old, probs.to(old.dtype)])
        sure, likeliest = probs.max(1)
        kept = []
        for column in range(probs.shape[1]):
            own = ((likeliest == column) & (sure > 0)).nonzero()[:, 0]
            order = sure[own].argsort(descending=True, stable=True)[:per_class]
            kept.append(own[order].sort().values)
        chosen = torch.cat(kept)
        return Voters(rows[chosen], probs[chosen])

    @property
    def memory_bytes(self) -> int:
        """Bytes of both."""
        return 4 * (self.rows.numel() + self.probs.numel())

    def state(self) -> dict[str, Tensor]:
        """Both."""
        return {"rows": self.rows, "probs": self.probs}

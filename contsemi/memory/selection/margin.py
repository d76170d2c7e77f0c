"""The images that are told from other classes most surely."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from contsemi.memory.selection.selection import Offered, Selection


@dataclass(kw_only=True, eq=False)
class Margin(Selection):
    """By the probability of the own class less the greatest of the others."""

    wants_probs: ClassVar[bool] = True

    def priorities(self, offered: Offered) -> Tensor:
        """The greatest margin first."""
        probs, own = offered.probs(), offered.labels[:, None]
        others = probs.scatter(1, own, 0.0).amax(1)
        return -(probs.gather(1, own).squeeze(1) - others).double()

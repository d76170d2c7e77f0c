"""The images whose mean stays nearest to that of their class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.memory.selection.selection import Offered, Selection, ranked_by_class


@dataclass(kw_only=True, eq=False)
class Herding(Selection):
    """One after another, each brings the mean of those taken nearest to the mean of all.

    Source: Rebuffi et al. 2017 (iCaRL), algorithm 4.
    """

    def priorities(self, offered: Offered) -> Tensor:
        """In the order in which they are taken."""
        return ranked_by_class(offered, _herded)


def _herded(rows: Tensor) -> Tensor:
    """Order in which the mean of those taken so far stays nearest to the mean of all."""
    goal, total = rows.mean(0), torch.zeros_like(rows[0])
    taken = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    order = []
    for count in range(1, len(rows) + 1):
        gap = (goal - (total + rows) / count).square().sum(1).masked_fill(taken, torch.inf)
        best = gap.argmin()
        order.append(best)
        taken[best] = True
        total = total + rows[best]
    return torch.stack(order)

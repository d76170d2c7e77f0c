"""The images nearest to the centres of k-means, one of each."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.lloyd import lloyd
from contsemi.memory.selection.selection import Offered, Selection, ranked_by_class

_ROUNDS = 10  # of k-means


@dataclass(kw_only=True, eq=False)
class KMeans(Selection):
    """Spread over the class: the mean first, then 2, 4, 8, ... centres."""

    def priorities(self, offered: Offered) -> Tensor:
        """In the order in which they are taken."""
        return ranked_by_class(offered, _spread)


def _spread(rows: Tensor) -> Tensor:
    """Order by halves: the row nearest to the mean, then those nearest to 2, 4, 8, ... centres.

    Centres begin at the rows that are farthest from those taken so far, so nothing is drawn. All
    is done on the CPU: a GPU adds rows up in any order, and processes have to keep the same images.
    """
    device, rows = rows.device, rows.cpu()
    order = [int((rows - rows.mean(0)).square().sum(1).argmin())]
    away = torch.cdist(rows, rows[order]).squeeze(1)
    while len(order) < len(rows):
        centres = _centres(rows, order, away, min(2 * len(order), len(rows)))
        distance = torch.cdist(centres, rows)
        distance[:, order] = torch.inf
        for each in distance:
            if len(order) == len(rows):
                break
            best = int(each.argmin())
            order.append(best)
            distance[:, best] = torch.inf
        away = torch.cdist(rows, rows[order]).amin(1)
    return torch.tensor(order, device=device)


def _centres(rows: Tensor, order: list[int], away: Tensor, count: int) -> Tensor:
    """The centres of k-means that none of the rows taken so far serves."""
    chosen, away = list(order), away.clone()
    while len(chosen) < count:
        chosen.append(int(away.argmax()))
        away = torch.minimum(away, (rows - rows[chosen[-1]]).norm(dim=1))
        away[chosen[-1]] = -1
    return lloyd(rows, rows[chosen], iterations=_ROUNDS).centres[len(order) :]

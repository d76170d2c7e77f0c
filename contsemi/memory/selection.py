"""Which images of a class are worth keeping: the order in which a class gives up its places.

Every policy is a number per image; a class keeps those of least number, so that what is kept with
a smaller budget is always a part of what is kept with a larger one.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Selection", "priorities"]

Selection = Literal["first", "reservoir", "herding", "kmeans", "margin"]

_ROUNDS = 10  # of k-means
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of splitmix64


def priorities(
    selection: Selection,
    *,
    labels: Tensor,
    ids: Tensor,
    rows: Tensor | None = None,
    margins: Tensor | None = None,
    seed: int = 0,
) -> Tensor | None:
    """The order in which a class keeps its images: the least number first.

    Args:
        selection: ``first``, in order of arrival (NNCSL, Kang et al. 2023); ``reservoir``, each
            image of the stream with the same probability (Vitter 1985); ``herding``, whose mean
            stays nearest to the class's (iCaRL, Rebuffi et al. 2017); ``kmeans``, nearest to one
            centre each; ``margin``, those that are told from other classes most surely.
        labels: int64 [n], columns.
        ids: int64 [n], stream-wide ids; what ``reservoir`` draws depends on these alone.
        rows: [n, F] features, for ``herding`` and ``kmeans``.
        margins: [n], for ``margin``.
        seed: of ``reservoir``.

    Returns:
        float64 [n]; ``None`` for order of arrival.

    Raises:
        ValueError: the policy needs something that is not given.
    """
    if selection == "first":
        return None
    if selection == "reservoir":
        return _drawn(ids, seed)
    if selection == "margin":
        if margins is None:
            raise ValueError("margin: needs margins")
        return -margins.double()
    if rows is None:
        raise ValueError(f"{selection}: needs rows")
    rank = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
    unit = functional.normalize(rows.float(), dim=1)
    for label in torch.unique(labels).tolist():
        places = (labels == label).nonzero().flatten()
        order = _herded(unit[places]) if selection == "herding" else _spread(unit[places])
        rank[places[order]] = torch.arange(len(places), dtype=rank.dtype, device=rank.device)
    return rank


def _drawn(ids: Tensor, seed: int) -> Tensor:
    """A number in [0, 1) for each id, the same whenever it is asked for (splitmix64)."""
    first, second, third = (x - 2**64 if x >= 2**63 else x for x in _MIX)
    mixed = (ids + seed) * first
    mixed = (mixed ^ (mixed >> 30 & (1 << 34) - 1)) * second
    mixed = (mixed ^ (mixed >> 27 & (1 << 37) - 1)) * third
    mixed = mixed ^ (mixed >> 31 & (1 << 33) - 1)
    return (mixed >> 11 & (1 << 53) - 1).double() / 2**53


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


def _spread(rows: Tensor) -> Tensor:
    """Order by halves: the row nearest to the mean, then those nearest to 2, 4, 8, ... centres.

    Centres begin at the rows that are farthest from those taken so far, so nothing is drawn.
    """
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
    return torch.tensor(order, device=rows.device)


def _centres(rows: Tensor, order: list[int], away: Tensor, count: int) -> Tensor:
    """The centres of k-means that none of the rows taken so far serves."""
    chosen, away = list(order), away.clone()
    while len(chosen) < count:
        chosen.append(int(away.argmax()))
        away = torch.minimum(away, (rows - rows[chosen[-1]]).norm(dim=1))
        away[chosen[-1]] = -1
    centres = rows[chosen]
    for _ in range(_ROUNDS):
        nearest = torch.cdist(rows, centres).argmin(1)
        sizes = torch.bincount(nearest, minlength=count)[:, None]
        sums = torch.zeros_like(centres).index_add(0, nearest, rows)
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    return centres[len(order) :]

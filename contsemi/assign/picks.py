"""Which rows to pick: dense ones, one of each cluster, apart from each other (USL)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.distances import nearest_distances, pieces, squared_distances

FAR = 1e10  # the released code's distance of what does not count; it still adds FAR^-alpha


def density(rows: Tensor, neighbours: int) -> Tensor:
    """Inverse of the mean squared distance to the nearest rows, the row itself among them.

    Rows that coincide with all their neighbours get the greatest density of the others, or 1
    where there are none: an infinite one could not be compared with a repulsion.

    Args:
        rows: [N, D].
        neighbours: k; all N rows if there are fewer.

    Returns:
        [N].

    Source: Wang et al. 2022, "Unsupervised selective labeling", eq. 4.

    >>> density(torch.tensor([[0.0], [2.0]]), 2)
    tensor([0.5000, 0.5000])
    """
    if not len(rows):
        return rows.new_empty(0)
    mean = nearest_distances(rows, rows, neighbours)[0].mean(dim=1)
    inverse = 1 / mean
    finite = torch.where(mean > 0, inverse, -torch.inf).max()
    # written without asking whether there is one, for which a device would have to be waited
    ceiling = torch.where(finite > 0, finite, torch.ones_like(finite))
    return torch.where(mean > 0, inverse, ceiling)


def best_of_each(scores: Tensor, clusters: Tensor, number: int) -> Tensor:
    """The row of greatest score in each cluster; of equal ones the first.

    Args:
        scores: [N].
        clusters: int64 [N], in [0, number).
        number: K.

    Returns:
        int64 [K]; -1 for a cluster without rows.

    >>> best_of_each(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([0, 0, 2]), 3)
    tensor([ 1, -1,  2])
    """
    best = scores.new_full((number,), -torch.inf).scatter_reduce(0, clusters, scores, "amax")
    place = torch.arange(len(scores), device=scores.device)
    place = torch.where(scores == best[clusters], place, len(scores))
    first = place.new_full((number,), len(scores)).scatter_reduce(0, clusters, place, "amin")
    return torch.where(first < len(scores), first, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repulsion:
    """How strongly picks push other rows away: the sum of squared distance^-alpha.

    Attributes:
        alpha: exponent.
        horizon: squared distance from which on picks do not count; ``None`` for any.
        nearest: only so many of the nearest picks count, barred ones among them; ``None`` for all.
        masked_far: the released code's switch: what does not count is at 1e10, and adds a little.

    Source: Wang et al. 2022, eq. 7.
    """

    alpha: float
    horizon: float | None = None
    nearest: int | None = None
    masked_far: bool = False

    def of(self, rows: Tensor, picks: Tensor, barred: Tensor | None = None) -> Tensor:
        """How much each row is pushed.

        Args:
            rows: [N, D].
            picks: [M, D].
            barred: bool [N, M], pairs that do not count.

        Returns:
            [N]; picks that coincide with a row do not count, as they would add infinity.

        >>> Repulsion(alpha=0.5).of(torch.tensor([[0.0]]), torch.tensor([[2.0], [0.0]]))
        tensor([0.5000])
        """
        sums = [rows.new_empty(0)]
        for span in pieces(len(rows), len(picks), rows.element_size()):
            apart = squared_distances(rows[span], picks)
            away = torch.zeros_like(apart, dtype=torch.bool) if barred is None else barred[span]
            if self.nearest is not None and self.nearest < len(picks):  # before any is left out
                apart, index = apart.topk(self.nearest, dim=1, largest=False)
                away = away.gather(1, index)
            away = away | (apart == 0)
            if self.horizon is not None:
                away = away | (apart >= self.horizon)
            apart = apart.masked_fill(away, FAR if self.masked_far else torch.inf)
            sums.append(apart.pow(-self.alpha).sum(dim=1))
        return torch.cat(sums)


def regularised_picks(
    rows: Tensor,
    dense: Tensor,
    clusters: Tensor,
    number: int,
    repulsion: Repulsion,
    *,
    iterations: int,
    weight: float,
    momentum: float,
    own_cluster: bool = False,
    known: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One dense row of each cluster, pushed away from the rows picked in the others.

    All clusters pick by the same repulsion of the picks before, which enters with momentum.

    Args:
        rows: [N, D].
        dense: [N] densities.
        clusters: int64 [N], in [0, number).
        number: K.
        repulsion: of the picks.
        iterations: selections, at least one.
        weight: of the repulsion against the density.
        momentum: share of the repulsion before that stays.
        own_cluster: whether the pick of a row's own cluster pushes it, too.
        known: [M, D] rows that are labelled already (of earlier tasks); they push all the time, and
            together no more than as many picks as there are clusters would.

    Returns:
        int64 [K], the picks in the order of the clusters, -1 for an empty one; and the repulsion
        [N] that the last selection used.

    Source: Wang et al. 2022, eq. 5 to 8, algorithm 1.

    >>> regularised_picks(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([1.0, 2.0, 1.0]),
    ...     torch.tensor([0, 0, 1]), 2, Repulsion(alpha=0.5), iterations=2, weight=0.1,
    ...     momentum=0.0)[0]
    tensor([1, 2])
    """
    standing = torch.zeros_like(dense)
    if known is not None and len(known):
        standing = repulsion.of(rows, known) * min(1.0, number / len(known))
    pushed = (1 - momentum) * standing
    picks = best_of_each(dense - weight * pushed, clusters, number)
    for _ in range(iterations - 1):
        found = picks[picks >= 0]
        same = None if own_cluster else clusters[:, None] == clusters[found]
        force = standing + repulsion.of(rows, rows[found], same)
        pushed = momentum * pushed + (1 - momentum) * force
        picks = best_of_each(dense - weight * pushed, clusters, number)
    return picks, pushed


def farthest_first(rows: Tensor, number: int, *, known: Tensor | None = None) -> Tensor:
    """Greedy k-centre: always the row that is farthest from all picked ones.

    Args:
        rows: [N, D].
        number: of picks; N of them if there are fewer rows.
        known: [M, D] rows that count as picked; without any the row nearest the mean is first.

    Returns:
        int64 [number], distinct, in order.

    Source: Gonzalez 1985; Sener and Savarese 2018, algorithm 1.

    >>> farthest_first(torch.tensor([[0.0], [1.0], [9.0]]), 2)
    tensor([1, 2])
    """
    number = min(number, len(rows))
    picks = torch.empty(number, dtype=torch.int64, device=rows.device)
    if not number:
        return picks
    informed = known is not None and len(known) > 0
    if informed:
        away = nearest_distances(rows, known, 1)[0][:, 0]  # type: ignore[arg-type]
    else:
        away = -squared_distances(rows, rows.mean(dim=0, keepdim=True))[:, 0]
    for place in range(number):
        picked = away.argmax()[None]
        picks[place] = picked[0]
        new = squared_distances(rows, rows[picked])[:, 0]
        away = torch.minimum(away, new) if informed else new
        informed = True
        # rows that coincide with a pick are at 0; what is picked goes below them for good
        away[picks[: place + 1]] = -1.0
    return picks

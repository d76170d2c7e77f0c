"""Which rows to pick: dense ones, one of each cluster, apart from each other (USL)."""

import torch
from torch import Tensor

from contsemi.assign.distances import nearest_distances, pieces, squared_distances

__all__ = ["best_of_each", "density", "farthest_first", "regularised_picks", "repulsion"]

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


def repulsion(
    rows: Tensor,
    others: Tensor,
    *,
    alpha: float,
    horizon: float | None = None,
    barred: Tensor | None = None,
    nearest: int | None = None,
    masked_far: bool = False,
) -> Tensor:
    """Sum of squared distance^-alpha over the others: how near a row is to what is picked already.

    Args:
        rows: [N, D].
        others: [M, D], those picked.
        alpha: exponent.
        horizon: squared distance from which on others do not count; ``None`` for any.
        barred: bool [N, M], pairs that do not count.
        nearest: only so many of the nearest others count, barred ones among them; ``None`` for all.
        masked_far: the released code's switch: what does not count is at 1e10, and adds a little.

    Returns:
        [N]; others that coincide with a row do not count, as they would add infinity.

    >>> repulsion(torch.tensor([[0.0]]), torch.tensor([[2.0], [0.0]]), alpha=0.5)
    tensor([0.5000])
    """
    sums = [rows.new_empty(0)]
    for span in pieces(len(rows), len(others), rows.element_size()):
        apart = squared_distances(rows[span], others)
        away = torch.zeros_like(apart, dtype=torch.bool) if barred is None else barred[span]
        if nearest is not None and nearest < len(others):  # before any is left out, as released
            apart, index = apart.topk(nearest, dim=1, largest=False)
            away = away.gather(1, index)
        away = away | (apart == 0)
        if horizon is not None:
            away = away | (apart >= horizon)
        apart = apart.masked_fill(away, FAR if masked_far else torch.inf)
        sums.append(apart.pow(-alpha).sum(dim=1))
    return torch.cat(sums)


def regularised_picks(
    rows: Tensor,
    dense: Tensor,
    clusters: Tensor,
    number: int,
    *,
    iterations: int,
    weight: float,
    momentum: float,
    alpha: float,
    horizon: float | None = None,
    nearest: int | None = None,
    own_cluster: bool = False,
    known: Tensor | None = None,
    masked_far: bool = False,
) -> tuple[Tensor, Tensor]:
    """One dense row of each cluster, pushed away from the rows picked in the others.

    All clusters pick by the same repulsion of the picks before, which enters with momentum.

    Args:
        rows: [N, D].
        dense: [N] densities.
        clusters: int64 [N], in [0, number).
        number: K.
        iterations: selections, at least one.
        weight: of the repulsion against the density.
        momentum: share of the repulsion before that stays.
        alpha: exponent of :func:`repulsion`.
        horizon: of :func:`repulsion`.
        nearest: of :func:`repulsion`.
        own_cluster: whether the pick of a row's own cluster pushes it, too.
        known: [M, D] rows that are labelled already (of earlier tasks); they push all the time, and
            together no more than as many picks as there are clusters would.
        masked_far: of :func:`repulsion`.

    Returns:
        int64 [K], the picks in the order of the clusters, -1 for an empty one; and the repulsion
        [N] that the last selection used.

    Source: Wang et al. 2022, eq. 5 to 8, algorithm 1.

    >>> regularised_picks(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([1.0, 2.0, 1.0]),
    ...     torch.tensor([0, 0, 1]), 2, iterations=2, weight=0.1, momentum=0.0, alpha=0.5)[0]
    tensor([1, 2])
    """
    pushed = torch.zeros_like(dense)
    standing = torch.zeros_like(dense)
    if known is not None and len(known):
        whole = repulsion(rows, known, alpha=alpha, horizon=horizon, nearest=nearest)
        standing = whole * min(1.0, number / len(known))
        pushed = standing * (1 - momentum)
    picks = best_of_each(dense - weight * pushed, clusters, number)
    for _ in range(iterations - 1):
        found = picks[picks >= 0]
        same = None if own_cluster else clusters[:, None] == clusters[found]
        force = repulsion(
            rows,
            rows[found],
            alpha=alpha,
            horizon=horizon,
            barred=same,
            nearest=nearest,
            masked_far=masked_far,
        )
        pushed = momentum * pushed + (1 - momentum) * (force + standing)
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

"""Positives out of a query's own cluster, and negatives out of the other ones."""

import torch
from torch import Tensor

SAMPLINGS = ("semihard", "hard", "semieasy", "random")


@torch.no_grad()
def cluster_mates(
    clusters: Tensor, of_rows: Tensor, *, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A stored row of each query's cluster, drawn evenly; its own row may be it.

    Args:
        clusters: int64 [N]; -1 for none.
        of_rows: int64 [M], the cluster of each stored row; -1 for rows that are none.
        draw: the generator.

    Returns:
        int64 [N] row numbers, 0 where there is no row of that cluster, and bool [N], where there
        is one.

    Source: Xie et al. 2022, section 3.2 (InterCLR).

    >>> draw = torch.Generator().manual_seed(0)
    >>> cluster_mates(torch.tensor([7, 3]), torch.tensor([-1, 7, 5]), draw=draw)
    (tensor([1, 0]), tensor([ True, False]))
    """
    order = of_rows.argsort(stable=True)
    sorted_rows = of_rows[order]
    first = torch.searchsorted(sorted_rows, clusters)
    number = torch.searchsorted(sorted_rows, clusters, right=True) - first
    found = (number > 0) & (clusters >= 0)
    at = torch.rand(len(clusters), generator=draw, device=clusters.device, dtype=torch.float64)
    place = first + (at * number).long().clamp(max=(number - 1).clamp(min=0))
    return order[place.clamp(max=len(order) - 1)] * found, found


@torch.no_grad()
def cluster_negatives(
    scores: Tensor,
    allow: Tensor,
    *,
    number: int,
    sampling: str,
    pool: int,
    draw: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Stored rows of other clusters for each query.

    ``hard`` are those of greatest score, ``semihard`` are drawn from the ``pool`` of greatest
    score, ``semieasy`` from the pool of least score, ``random`` from all. Drawn ones may come
    twice. Rows that are not allowed are left out before the pool is made; the official code draws
    again.

    Args:
        scores: [N, M] cosines of queries and stored rows, M > 0.
        allow: bool [N, M], rows of other clusters.
        number: S, negatives of each query; of fewer allowed rows ``hard`` gives these.
        sampling: one of ``SAMPLINGS``.
        pool: rows that ``semihard`` and ``semieasy`` draw from.
        draw: the generator.

    Returns:
        int64 [N, S'] row numbers, and bool [N, S'], whether each is an allowed row.

    Source: Xie et al. 2022, section 3.3 (InterCLR).

    >>> scores, allow = torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[True, False, True]])
    >>> options = {"pool": 2, "draw": torch.Generator().manual_seed(0)}
    >>> cluster_negatives(scores, allow, number=2, sampling="hard", **options)[0]
    tensor([[2, 0]])
    """
    sign = -1.0 if sampling == "semieasy" else 1.0
    ranked = (sign * scores).masked_fill(~allow, -torch.inf)
    if sampling == "random":
        ranked = torch.where(allow, 0.0, -torch.inf)
    width = {"hard": number, "random": scores.shape[1]}.get(sampling, pool)
    best = ranked.topk(min(width, scores.shape[1]), dim=1)
    found = best.values > -torch.inf
    if sampling == "hard":
        return best.indices, found
    held = found.sum(dim=1, keepdim=True)
    at = torch.rand(len(scores), number, generator=draw, device=scores.device, dtype=torch.float64)
    place = (at * held).long().clamp(max=(held - 1).clamp(min=0))
    return best.indices.gather(1, place), (held > 0).expand(-1, number)

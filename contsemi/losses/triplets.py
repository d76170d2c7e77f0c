"""Triplets within a batch: near what is of one class, far from what is not."""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide

__all__ = ["hard_triplets", "repelled"]


def hard_triplets(
    embeddings: Tensor, labels: Tensor, *, k: int, margin: float, soft: bool = False
) -> Tensor:
    """The j-th farthest of an anchor's class against the j-th nearest of others, j <= k.

    Each row is an anchor, and is of its own class, at distance 0. Pairs without a row of another
    class are left out.

    Args:
        embeddings: [N, D].
        labels: int64 [N].
        k: pairs of each anchor, at most.
        margin: hinge of the squared distances.
        soft: whether log(1 + exp(·)) takes the place of the hinge; then there is no margin.

    Returns:
        A scalar, the mean over the pairs that there are; zero if there is none.

    Source: Boschini et al. 2022, eq. 6 (CCIC); Hermans et al. 2017 (batch-hard).

    >>> rows = torch.tensor([[0.0], [2.0], [1.0]])
    >>> hard_triplets(rows, torch.tensor([0, 0, 1]), k=1, margin=1.0)
    tensor(2.6667)
    """
    rows = wide(embeddings)
    k = min(k, len(rows))
    if not k:
        return rows.sum()
    distance = (rows[:, None] - rows).square().sum(dim=2)
    same = labels[:, None] == labels
    # those that do not count are sorted to the end: their number differs from row to row
    near = distance.masked_fill(same, torch.inf).topk(k, dim=1, largest=False).values
    far = distance.masked_fill(~same, -torch.inf).topk(k, dim=1).values
    there = near.isfinite() & far.isfinite()
    apart = torch.where(there, far, 0.0) - torch.where(there, near, 0.0)
    each = F.softplus(apart) if soft else (apart + margin).clamp(min=0)
    return (each * there).sum() / there.sum().clamp(min=1)


def repelled(anchors: Tensor, others: Tensor, *, margin: float = 1.0) -> Tensor:
    """Mean of max(0, margin - squared distance) over all pairs of an anchor and another row.

    Args:
        anchors: [N, D].
        others: [M, D].
        margin: squared distance from which on a pair no longer counts.

    Returns:
        A scalar; zero if there is no pair.

    Source: Boschini et al. 2022, eq. 7 (CCIC, unsupervised triplets without positives).

    >>> repelled(torch.tensor([[0.0]]), torch.tensor([[0.5], [2.0]]))
    tensor(0.3750)
    """
    distance = (wide(anchors)[:, None] - wide(others)).square().sum(dim=2)
    return (margin - distance).clamp(min=0).sum() / max(distance.numel(), 1)

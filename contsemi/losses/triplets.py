"""Triplets within a batch: near what is of one class, far from what is not."""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide


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
        soft: whether log(1 + exp(·)) takes the place of the hinge.

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
    each = F.softplus(apart + margin) if soft else (apart + margin).clamp(min=0)
    return (each * there).sum() / there.sum().clamp(min=1)


def repelled(
    embeddings: Tensor, groups: Tensor, *, k: int, margin: float = 1.0, soft: bool = False
) -> Tensor:
    """Triplets without a positive: each row is pushed off the k nearest of the other group.

    Args:
        embeddings: [N, D].
        groups: int64 [N], which of two groups each row is of; a negative one takes no part.
        k: pairs of each row, at most.
        margin: squared distance from which on a pair no longer counts.
        soft: whether log(1 + exp(·)) takes the place of the hinge.

    Returns:
        A scalar, the mean over the pairs that there are; zero if there is none.

    Source: Boschini et al. 2022, eq. 7 (CCIC).

    >>> rows = torch.tensor([[0.0], [0.5], [2.0]])
    >>> repelled(rows, torch.tensor([0, 1, 1]), k=1)
    tensor(0.5000)
    """
    rows = wide(embeddings)
    k = min(k, len(rows))
    if not k:
        return rows.sum()
    distance = (rows[:, None] - rows).square().sum(dim=2)
    pairs = (groups[:, None] != groups) & (groups[:, None] >= 0) & (groups >= 0)
    near = distance.masked_fill(~pairs, torch.inf).topk(k, dim=1, largest=False).values
    there = near.isfinite()
    near = torch.where(there, near, 0.0)
    each = F.softplus(margin - near) if soft else (margin - near).clamp(min=0)
    return (each * there).sum() / there.sum().clamp(min=1)

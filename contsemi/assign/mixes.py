"""Further negatives, mixed from stored ones that are hard to tell from a query."""

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def hardest(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The rows of greatest score.

    Args:
        scores: [N, M]; -inf for rows that are none.
        most: how many; at most M are returned.

    Returns:
        int64 [N, H] row numbers, best first, and int64 [N], how many of them are rows; the others
        are the last.

    >>> hardest(torch.tensor([[0.1, 0.9, -torch.inf]]), 3)
    (tensor([[1, 0, 2]]), tensor([2]))
    """
    best = scores.topk(min(most, scores.shape[1]), dim=1)
    return best.indices, (best.values > -torch.inf).sum(dim=1)


@torch.no_grad()
def mixes_of_pairs(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Unit rows between two negatives, share first + (1 - share) second before the length.

    Args:
        first: [..., D].
        second: [..., D].
        share: [...], in [0, 1].

    Returns:
        [..., D], without gradient.

    Source: Kalantidis et al. 2020, eq. 4 (MoCHi).

    >>> mixes_of_pairs(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor(0.5))
    tensor([0.7071, 0.7071])
    """
    share = share[..., None].to(first)
    return functional.normalize(share * first + (1 - share) * second, dim=-1)


@torch.no_grad()
def mixes_with_queries(queries: Tensor, negatives: Tensor, share: Tensor) -> Tensor:
    """Unit rows between a query and negatives of it; no nearer to the query than half way.

    Args:
        queries: [N, D] unit rows.
        negatives: [N, S, D].
        share: [N, S], of the query, in [0, 0.5].

    Returns:
        [N, S, D], without gradient.

    Source: Kalantidis et al. 2020, eq. 5 (MoCHi).

    >>> mixes_with_queries(torch.eye(1, 2), torch.eye(2)[None, 1:], torch.tensor([[0.5]]))
    tensor([[[0.7071, 0.7071]]])
    """
    return mixes_of_pairs(queries[:, None], negatives, share)

"""Which pseudo-labels are believed: the surest ones, more and more of them."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["accepted", "cluster_confidence"]


@torch.no_grad()
def cluster_confidence(
    rows: Tensor, centroids: Tensor, cluster: Tensor, *, temperature: float
) -> Tensor:
    """The probability that each row is of its own cluster.

    Args:
        rows: [N, D] unit rows.
        centroids: [K, D], of any length; compared by their direction.
        cluster: int64 [N].
        temperature: of the cosines.

    Returns:
        [N] in (0, 1].

    Source: Chen et al. 2022, section 3.2 (IFND).

    >>> cluster_confidence(torch.eye(2), torch.eye(2), torch.tensor([0, 0]), temperature=0.5)
    tensor([0.8808, 0.1192])
    """
    scores = rows @ functional.normalize(centroids.to(rows), dim=1).T / temperature
    return scores.softmax(dim=1).gather(1, cluster[:, None])[:, 0]


@torch.no_grad()
def accepted(confidence: Tensor, rate: float) -> Tensor:
    """The share of the rows of greatest confidence, round(rate N) of them; of equal ones the first.

    Args:
        confidence: [N].
        rate: in [0, 1].

    Returns:
        bool [N].

    >>> accepted(torch.tensor([0.2, 0.9, 0.5]), 2 / 3)
    tensor([False,  True,  True])
    """
    number = round(rate * len(confidence))
    best = confidence.argsort(descending=True, stable=True)[:number]
    return torch.zeros_like(confidence, dtype=torch.bool).index_fill(0, best, True)

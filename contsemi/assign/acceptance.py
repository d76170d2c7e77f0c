"""Which pseudo-labels are believed: the surest ones, more and more of them."""

import torch
from torch import Tensor
from torch.nn import functional


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
def confidence_ranks(confidence: Tensor) -> Tensor:
    """The place of each row in the order of confidence; of equal ones the first comes first.

    Args:
        confidence: [N].

    Returns:
        int64 [N], 0 for the surest.

    >>> confidence_ranks(torch.tensor([0.2, 0.9, 0.5]))
    tensor([2, 0, 1])
    """
    order = confidence.argsort(descending=True, stable=True)
    return torch.empty_like(order).scatter(0, order, torch.arange(len(order), device=order.device))


def accepted(ranks: Tensor, rate: float, number: int) -> Tensor:
    """The rows that are among the surest round(rate N) of all N.

    Args:
        ranks: int64 [...], some of :func:`confidence_ranks`.
        rate: in [0, 1].
        number: N.

    Returns:
        bool [...].

    Source: Chen et al. 2022, section 3.2 (IFND).

    >>> accepted(torch.tensor([2, 0, 1]), 2 / 3, 3)
    tensor([False,  True,  True])
    """
    return ranks < round(rate * number)

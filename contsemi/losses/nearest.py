"""Soft nearest neighbours: a query's class is the similarity-weighted vote of the supports."""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide

# exp(s - max + LIFT) neither overflows when summed over rows nor leaves the normal float32 range
# while the cosines over the temperature spread over less than WIDEST and weights over exp(30).
LIFT, WIDEST = 60.0, 100.0
LOWEST = -1e30  # stands for log 0, since the gradient at -inf is not a number
CHUNK = 1024  # queries of one prediction, so that their votes stay small


def soft_nearest_neighbours(
    queries: Tensor,
    supports: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    weights: Tensor | None = None,
) -> Tensor:
    """Log-probabilities log p, p = softmax(cos(query, supports) / temperature) @ labels.

    Exact also where p is far below the smallest float, so that -sum t log p needs no epsilon.
    Rows are normalised here. A class that no support stands for gets a very small finite value.

    Args:
        queries: [N, D] embeddings.
        supports: [S, D] embeddings, S > 0.
        labels: [S, C] soft labels; rows sum to 1. [S / V, C] where supports are V blocks with the
            same labels, as the views of the same images are.
        temperature: divides the cosines.
        weights: one factor >= 0 on the votes for each row of labels, or [N, S]; 0 masks a support.
            ``None`` for ones. No gradient flows into them.

    Returns:
        [N, C] log-probabilities, in float32 or float64. A query all of whose supports are masked
        gets a row of zeros without gradient, so that its cross-entropy moves nothing.

    Raises:
        ValueError: there is no support.

    Source: Assran et al. 2021, eq. 1 (PAWS); Kang et al. 2023 (NNCSL).

    >>> rows, classes = torch.eye(2), torch.eye(2)
    >>> soft_nearest_neighbours(rows[:1], rows, classes, temperature=1.0).exp()
    tensor([[0.7311, 0.2689]])
    """
    if len(supports) == 0:
        raise ValueError("soft nearest neighbours need at least one support")
    queries, supports, labels = wide(queries), wide(supports), wide(labels)
    weights = None if weights is None else wide(weights.detach())
    with torch.autocast(queries.device.type, enabled=False):
        scores = F.normalize(queries, dim=1).div(temperature) @ F.normalize(supports, dim=1).T
        labels = labels.to(scores.dtype)
        narrow = 2 / temperature < WIDEST
        if narrow and (weights is None or weights.ndim == 1):
            return _by_product(scores, labels, weights, bound=1 / temperature)
        views = len(supports) // len(labels)
        labels = labels.repeat(views, 1)
        if weights is None:
            return _by_broadcast(scores, labels)
        scores = scores + (weights.repeat(views) if weights.ndim == 1 else weights).log()
        unheard = scores.detach().amax(dim=1, keepdim=True) == -torch.inf
        votes = _by_product if narrow else _by_broadcast
        return votes(scores, labels).masked_fill(unheard, 0.0)


def support_labels(
    labels: Tensor, columns: Tensor, *, smoothing: float, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Soft labels of supports among some classes, and weights that mask the supports of others.

    Smoothing is shared by those of the classes that have a support: a class without one then gets
    no vote at all, as if it were not among ``columns``.

    Args:
        labels: int64 [S], columns.
        columns: int64 [C], the classes.
        smoothing: share of a label that is spread.
        dtype: of the result, which is float32 at least.

    Returns:
        [S, C] labels, (1 - smoothing) one-hot + smoothing / C, and [S] weights: 1 for a support
        of one of the classes, else 0.

    Source: Assran et al. 2021 (PAWS); Kang et al. 2023 (NNCSL).

    >>> support_labels(torch.tensor([4, 7]), torch.tensor([4, 5]), smoothing=0.0)
    (tensor([[1., 0.],
            [0., 0.]]), tensor([1., 0.]))
    """
    dtype = torch.promote_types(dtype, torch.float32)
    own = labels[:, None] == columns
    present = own.any(dim=0).to(dtype)
    spread = smoothing * present / present.sum().clamp_min(1)
    return own.to(dtype) * (1 - smoothing) + spread, own.any(dim=1).to(dtype)


def nearest_classes(
    queries: Tensor, supports: Tensor, labels: Tensor, num_classes: int, *, temperature: float
) -> Tensor:
    """Predicted classes by the soft vote of labelled supports, in which all classes weigh the same.

    Args:
        queries: [N, D] embeddings.
        supports: [S, D] embeddings, S > 0.
        labels: int64 [S], columns of the supports.
        num_classes: C.
        temperature: divides the cosines.

    Returns:
        [N, C] log-probabilities; very small and finite for a class without a support.

    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> nearest_classes(rows[:1], rows, torch.tensor([0, 0, 1]), 2, temperature=1.0).exp()
    tensor([[0.7311, 0.2689]])
    """
    columns = torch.arange(num_classes, device=labels.device)
    votes, _ = support_labels(labels, columns, smoothing=0.0)
    weights = 1 / votes.sum(dim=0)[labels]
    chunks = [
        soft_nearest_neighbours(part, supports, votes, temperature=temperature, weights=weights)
        for part in torch.split(queries, CHUNK)
    ]
    return torch.cat(chunks)


def _by_product(
    scores: Tensor, labels: Tensor, weights: Tensor | None = None, bound: float = 0.0
) -> Tensor:
    """As a matrix product of exponentials: N S + S C numbers, for scores of small spread.

    With weights, one a row of labels, no score is above ``bound``.
    """
    if weights is None:
        each = torch.ones_like(labels[:, :1])
        highest = scores.detach().amax(dim=1, keepdim=True).clamp_min(LOWEST)
    else:
        largest = weights.amax()  # what all have in common falls out again
        each = (weights / largest.where(largest > 0, 1))[:, None]
        highest = torch.full_like(largest, bound)  # not of those that nobody hears
    votes = (scores - (highest - LIFT)).exp()
    if votes.shape[1] > len(labels):  # added up first, which is far less than to multiply them all
        views = votes.shape[1] // len(labels)
        votes = votes.view(len(votes), views, len(labels)).sum(dim=1)
    sums = votes @ torch.cat([labels * each, each], dim=1)
    logs = sums.clamp_min(torch.finfo(sums.dtype).tiny).log()
    return logs[:, :-1] - logs[:, -1:]


def _by_broadcast(scores: Tensor, labels: Tensor) -> Tensor:
    """As a log-sum-exp over supports: N S C numbers, for finite scores of any spread."""
    scores = scores.clamp_min(LOWEST)
    joint = scores.unsqueeze(2) + labels.log().clamp_min(LOWEST)
    return joint.logsumexp(dim=1) - scores.logsumexp(dim=1, keepdim=True)

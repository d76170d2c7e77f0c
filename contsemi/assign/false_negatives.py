"""Candidates of another image that look like the query's: probably of the same kind."""

import torch
from torch import Tensor

OWN = -2.0  # below every cosine


@torch.no_grad()
def support_scores(views: Tensor, candidates: Tensor, own: Tensor) -> Tensor:
    """The greatest cosine of any view of an image with each candidate.

    Args:
        views: [V, N, D] unit rows of N images.
        candidates: [M, D] unit rows.
        own: bool [N, M], candidates that are views of the image itself.

    Returns:
        [N, M], -2 for its own.

    Source: Huynh et al. 2022, section 3.2 (FNC).

    >>> views = torch.tensor([[[1.0, 0.0]], [[0.6, 0.8]]])
    >>> support_scores(views, torch.eye(2), torch.zeros(1, 2, dtype=torch.bool))
    tensor([[1.0000, 0.8000]])
    """
    return (views @ candidates.T).amax(dim=0).masked_fill(own, OWN)


@torch.no_grad()
def false_negatives(scores: Tensor, *, most: int, threshold: float) -> Tensor:
    """The candidates among the greatest scores that are above a threshold.

    Args:
        scores: [N, M] of :func:`support_scores`; -2 or less is never one.
        most: how many of an image, at most.
        threshold: scores have to be greater.

    Returns:
        bool [N, M].

    Source: Huynh et al. 2022, section 3.2 (FNC).

    >>> false_negatives(torch.tensor([[0.9, 0.8, 0.95, 0.1]]), most=2, threshold=0.7)
    tensor([[ True, False,  True, False]])
    """
    best = scores.topk(min(most, scores.shape[1]), dim=1).indices
    found = torch.zeros_like(scores, dtype=torch.bool).scatter(1, best, True)
    return found & (scores > threshold) & (scores > OWN)

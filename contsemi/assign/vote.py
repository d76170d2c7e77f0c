"""The class that most neighbours have."""

import torch
from torch import Tensor


@torch.no_grad()
def vote(votes: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The class with most votes; of equal ones the smallest.

    Args:
        votes: int64 [N, K], classes; -1 does not vote.
        num_classes: C.

    Returns:
        int64 [N] winners, -1 for a row where nobody voted, and their share of the votes that
        were given, float32 [N], 0 where nobody voted.

    >>> vote(torch.tensor([[1, 2, 2], [-1, -1, -1]]), 3)
    (tensor([ 2, -1]), tensor([0.6667, 0.0000]))
    """
    counts = (votes[:, :, None] == torch.arange(num_classes, device=votes.device)).sum(dim=1)
    # argmax gives the first of equal ones.
    most, winner = counts.amax(dim=1), counts.argmax(dim=1)
    share = most / counts.sum(dim=1).clamp(min=1)
    return torch.where(most > 0, winner, -1), share

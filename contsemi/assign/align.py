"""Predictions whose mean is brought to a wanted share of each class."""

import torch
from torch import Tensor

SMALLEST = 1e-6  # a class that was never predicted


@torch.no_grad()
def aligned(probs: Tensor, *, mean: Tensor, target: Tensor) -> Tensor:
    """Probabilities times target / mean, made to sum to 1 again.

    Args:
        probs: [N, C].
        mean: [C], running mean of such predictions.
        target: [C], the mean that is wanted; of any sum.

    Returns:
        [N, C], rows sum to 1, without gradient.

    Source: Berthelot et al. 2020, section 3.1 (ReMixMatch); Berthelot et al. 2022, eq. 3
        (AdaMatch), whose target is the mean prediction of the labelled images.

    >>> even = torch.tensor([0.5, 0.5])
    >>> aligned(torch.tensor([[0.8, 0.2]]), mean=torch.tensor([0.8, 0.2]), target=even)
    tensor([[0.5000, 0.5000]])
    """
    probs = probs.to(torch.promote_types(probs.dtype, torch.float32))
    moved = probs * (target + SMALLEST) / (mean + SMALLEST)
    return moved / moved.sum(dim=1, keepdim=True)

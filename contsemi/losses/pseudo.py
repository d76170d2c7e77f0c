"""Pseudo-labels: what a network was sure of in one view is to hold in another."""

import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import row_mean, wide


def pseudo_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean of w · H(target, softmax(logits)) over all rows, also over those that weigh nothing.

    Args:
        logits: [N, C] of the view that learns.
        targets: classes int64 [N], or probabilities [N, C]; no gradient flows into them.
        weights: [N], 0 or 1 for a threshold, or anything between.

    Returns:
        A scalar; zero if N is 0 or nothing weighs.

    Source: Sohn et al. 2020, eq. 4 (FixMatch).

    >>> import torch
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> pseudo_cross_entropy(logits, torch.tensor([0, 1]), torch.tensor([1.0, 0.0]))
    tensor(0.0635)
    """
    if targets.is_floating_point():
        targets = wide(targets.detach())
    rows = F.cross_entropy(wide(logits), targets, reduction="none")
    return row_mean(weights.detach().to(rows.dtype) * rows)

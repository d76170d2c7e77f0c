"""The squared difference of predicted and wanted probabilities (Brier score)."""

from torch import Tensor

from contsemi.losses.numerics import wide

__all__ = ["brier"]


def brier(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of (softmax(logits) - target)^2 over rows and classes.

    Args:
        logits: [N, C].
        targets: [N, C] probabilities; no gradient flows into them.

    Returns:
        A scalar; zero if N is 0.

    Source: Berthelot et al. 2019, eq. 4 (MixMatch).

    >>> import torch
    >>> brier(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor(0.2500)
    """
    apart = wide(logits).softmax(dim=1) - wide(targets.detach())
    return apart.square().sum() / max(apart.numel(), 1)

"""Soft classes made surer: the mean of an image's guesses, and powers of it."""

import torch
from torch import Tensor


@torch.no_grad()
def sharpen(probs: Tensor, *, temperature: float) -> Tensor:
    """``p^(1/T)``, made to sum to 1 again.

    Args:
        probs: [N, C] probabilities.
        temperature: T; 1 changes nothing, towards 0 the greatest class takes all.

    Returns:
        [N, C], rows sum to 1, without gradient.

    Source: Berthelot et al. 2019, eq. 7 (MixMatch).

    >>> sharpen(torch.tensor([[0.5, 0.3, 0.2]]), temperature=0.5)
    tensor([[0.6579, 0.2368, 0.1053]])
    """
    probs = probs.to(torch.promote_types(probs.dtype, torch.float32))
    # by logarithms: a small probability to a high power would be lost in all classes at once
    return (probs.log() / temperature).softmax(dim=1)


@torch.no_grad()
def guessed(logits: Tensor, *, batch_size: int, temperature: float) -> Tensor:
    """The sharpened mean prediction of the views of each image.

    Args:
        logits: [V * B, C] of V views, view-major.
        batch_size: B > 0.
        temperature: of :func:`sharpen`.

    Returns:
        [B, C], rows sum to 1, without gradient.

    Source: Berthelot et al. 2019, eq. 6 and 7 (MixMatch).

    >>> guessed(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), batch_size=1, temperature=0.5)
    tensor([[0.5000, 0.5000]])
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    mean = logits.softmax(dim=1).view(-1, batch_size, logits.shape[1]).mean(dim=0)
    return sharpen(mean, temperature=temperature)

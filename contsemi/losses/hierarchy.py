"""Coarse classes are sums of fine ones."""

import torch
from torch import Tensor

from contsemi.losses.numerics import row_mean, wide

__all__ = ["coarse_cross_entropy", "coarse_probs"]


def coarse_probs(probs: Tensor, coarse_of: Tensor, num_coarse: int) -> Tensor:
    """The probability of each coarse class, the sum of that of its fine ones.

    Args:
        probs: [N, C] of fine classes.
        coarse_of: int64 [C], the coarse class of each; -1 for unknown, which counts for none.
        num_coarse: K.

    Returns:
        [N, K].

    >>> coarse_probs(torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([0, 1, 0]), 2)
    tensor([[0.7000, 0.3000]])
    """
    classes = torch.arange(num_coarse, device=coarse_of.device)
    member = (coarse_of[:, None] == classes).to(probs.dtype)
    return probs @ member


def coarse_cross_entropy(
    logits: Tensor, coarse: Tensor, coarse_of: Tensor, num_coarse: int
) -> Tensor:
    """Mean of -log p(coarse class) where p sums the fine classes; rows of unknown class are out.

    Args:
        logits: [N, C] of fine classes.
        coarse: int64 [N]; -1 for unknown.
        coarse_of: int64 [C].
        num_coarse: K.

    Returns:
        A scalar, the mean over the rows whose coarse class has a fine one; zero if there is none.

    >>> fine = torch.zeros(1, 3)
    >>> coarse_cross_entropy(fine, torch.tensor([0]), torch.tensor([0, 1, 0]), 2)
    tensor(0.4055)
    """
    log_probs = wide(logits).log_softmax(dim=1)
    mine = (coarse[:, None] == coarse_of) & (coarse >= 0)[:, None]
    known = mine.any(dim=1)
    # a row without a class of its own would be -inf, whose gradient is NaN: it sees all classes
    counts = mine | ~known[:, None]
    rows = -log_probs.masked_fill(~counts, -torch.inf).logsumexp(dim=1)
    return row_mean(rows * known) * (len(rows) / known.sum().clamp(min=1))

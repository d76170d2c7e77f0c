"""Classes are to be predicted as evenly as they are believed to be there."""

import torch
from torch import Tensor

from contsemi.losses.numerics import wide


def fairness(logits: Tensor, counts: Tensor, *, probs: Tensor, shares: Tensor) -> Tensor:
    """sum_c q_c log m_c: the less even the surely predicted rows are, the higher.

    q is the running mean prediction over the running share of each class, m is the mean prediction
    of these rows over the share of each class among them; both made to sum to 1. A class that none
    of them is predicted as is left out of m.

    Args:
        logits: [N, C] of the strong views.
        counts: bool or 0/1 [N], the rows that are sure.
        probs: [C], running mean of the weak views' predictions.
        shares: [C], running share of each class among the weak views' most probable ones.

    Returns:
        A scalar; zero if no row counts.

    Source: Wang et al. 2023, eq. 10 to 12 (FreeMatch, self-adaptive fairness).

    >>> even = torch.tensor([0.5, 0.5])
    >>> fairness(torch.tensor([[2.0, 0.0]]), torch.tensor([True]), probs=even, shares=even)
    tensor(-13.8155)
    """
    predicted = wide(logits).softmax(dim=1)
    counts = counts.to(predicted.dtype)
    number = counts.sum()
    classes = torch.arange(predicted.shape[1], device=predicted.device)
    hard = (predicted.argmax(dim=1)[:, None] == classes).to(predicted.dtype)
    share = (counts @ hard) / number.clamp(min=1)
    mean = (counts @ predicted) / number.clamp(min=1)
    ours = torch.where(share > 0, mean / share.clamp(min=1e-12), 0.0)
    ours = ours / ours.sum().clamp(min=1e-12)
    wanted = torch.where(shares > 0, probs / shares.clamp(min=1e-12), 0.0).detach()
    wanted = wanted / wanted.sum().clamp(min=1e-12)
    return (wanted * (ours + 1e-12).log()).sum() * (number > 0)

"""USL-T: clusters that neighbours agree on and that sure rows confirm.

Source: Wang et al. 2022, "Unsupervised selective labeling", section 4 and eq. 10 to 13.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide


def sharpened_guess(
    logits: Tensor, shares: Tensor, *, adjustment: float, temperature: float
) -> Tensor:
    """What a neighbour is guessed to be, adjusted for the size of the clusters, sharpened.

    Args:
        logits: [..., N, C] of the neighbour.
        shares: [..., C], mean probability of each cluster so far.
        adjustment: a, how much large clusters are held back.
        temperature: T < 1 sharpens.

    Returns:
        [..., N, C] without gradient; rows sum to 1.

    >>> sharpened_guess(torch.zeros(1, 2), torch.tensor([0.5, 0.5]), adjustment=5.0,
    ...                 temperature=0.25)
    tensor([[0.5000, 0.5000]])
    """
    adjusted = wide(logits.detach()) - adjustment * wide(shares).log().unsqueeze(-2)
    return (adjusted.log_softmax(dim=-1) / temperature).softmax(dim=-1)


def neighbour_agreement(logits: Tensor, targets: Tensor) -> Tensor:
    """KL(targets || softmax(logits)), the mean over the rows of each head.

    Args:
        logits: [..., N, C] of strong views.
        targets: [..., N, C], as :func:`sharpened_guess` gives them.

    Returns:
        [...].

    >>> neighbour_agreement(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]))
    tensor(0.)
    """
    log_probs = F.log_softmax(wide(logits), dim=-1)
    rows = (torch.special.xlogy(targets, targets) - targets * log_probs).sum(dim=-1)
    mean: Tensor = rows.sum(dim=-1) / max(rows.shape[-1], 1)
    return mean


def moved_shares(shares: Tensor, logits: Tensor, *, momentum: float) -> Tensor:
    """The mean probability of each cluster, moved towards that of a batch.

    Args:
        shares: [..., C].
        logits: [..., N, C] of the neighbours.
        momentum: share of the old ones.

    Returns:
        [..., C], which sum to 1.

    >>> moved_shares(torch.tensor([1.0, 0.0]), torch.zeros(3, 2), momentum=0.5)
    tensor([0.7500, 0.2500])
    """
    now = wide(logits.detach()).softmax(dim=-1).mean(dim=-2)
    mixed = momentum * shares + (1 - momentum) * now
    return mixed / mixed.sum(dim=-1, keepdim=True)


def confident_loss(
    logits: Tensor,
    guesses: Tensor,
    *,
    threshold: float,
    balance: bool,
    divide_by_present: bool = False,
    over_batch: bool = False,
) -> Tensor:
    """Cross-entropy with the guessed cluster of the rows whose guess is sure.

    Args:
        logits: [N, C] of strong views.
        guesses: [N, C] logits of weak views; no gradient flows into them.
        threshold: probability above which (strictly) a guess counts.
        balance: whether rows of rare clusters weigh more: all sure rows / those of the cluster.
        divide_by_present: whether the mean weight of clusters that occur is made 1.
        over_batch: whether the sum is divided by N instead of by the weight of the sure rows.

    Returns:
        A scalar; zero if no row is sure.

    >>> confident_loss(torch.zeros(1, 2), torch.zeros(1, 2), threshold=0.9, balance=True)
    tensor(0.)
    """
    probs, cluster = wide(guesses.detach()).softmax(dim=1).max(dim=1)
    sure = (probs > threshold).to(probs.dtype)
    weights = torch.ones(logits.shape[1], dtype=sure.dtype, device=sure.device)
    if balance or divide_by_present:
        counts = torch.zeros_like(weights).index_add_(0, cluster, sure)
        weights = torch.where(counts > 0, sure.sum() / counts.clamp(min=1), 1.0)
        if divide_by_present:
            weights = weights / (counts > 0).sum().clamp(min=1)
    each = sure * weights[cluster]
    rows = F.cross_entropy(wide(logits), cluster, reduction="none")
    total = each.sum()
    size = torch.full_like(total, max(len(rows), 1)) if over_batch else total.where(total > 0, 1)
    return (each * rows).sum() / size

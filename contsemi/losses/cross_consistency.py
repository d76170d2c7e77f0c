"""What is asked of the similarities of different images of a batch."""

from torch import Tensor
from torch.nn import functional

from contsemi.losses.numerics import wide

LOWEST = -1e30


def cross_consistency(scores: Tensor, *, allow: Tensor) -> Tensor:
    """Mean of (S_ij - S_ji)^2 over pairs: a similarity is to survive the transformations.

    Args:
        scores: [N, N], of view 1 of image i with view 2 of image j.
        allow: bool [N, N], symmetric, the pairs that count.

    Returns:
        A scalar; zero without a pair, and where S is symmetric.

    Source: after the abstract of Seyfi et al. 2022 (XMoCo); its equations were not read.

    >>> import torch
    >>> allow = ~torch.eye(2, dtype=torch.bool)
    >>> cross_consistency(torch.tensor([[1.0, 0.3], [0.1, 1.0]]), allow=allow)
    tensor(0.0400)
    """
    scores = wide(scores)
    return ((scores - scores.T) ** 2 * allow).sum() / allow.sum().clamp(min=1)


def unevenness(scores: Tensor, *, temperature: float, allow: Tensor) -> Tensor:
    """Mean of KL(uniform || softmax_j(S_ij / t)): other images are to be equally far.

    Args:
        scores: [N, M].
        temperature: t.
        allow: bool [N, M], what is compared.

    Returns:
        A scalar, the mean over the rows with something to compare; zero without one.

    Source: after the abstract of Seyfi et al. 2022 (XMoCo); its equations were not read.

    >>> import torch
    >>> allow = ~torch.eye(3, dtype=torch.bool)
    >>> unevenness(torch.eye(3), temperature=0.2, allow=allow)
    tensor(0.)
    """
    logits = (wide(scores) / temperature).masked_fill(~allow, LOWEST)
    log_probs = functional.log_softmax(logits, dim=1).masked_fill(~allow, 0)
    number = allow.sum(dim=1)
    held = number.clamp(min=1).to(logits)
    rows = (-log_probs.sum(dim=1) / held - held.log()) * (number > 0)
    return rows.sum() / (number > 0).sum().clamp(min=1)


def score_variance(scores: Tensor, *, allow: Tensor) -> Tensor:
    """Variance of all similarities that are compared: another measure of how uneven they are.

    Args:
        scores: [N, M].
        allow: bool [N, M], what is compared.

    Returns:
        A scalar; zero without any.

    Source: after the abstract of Seyfi et al. 2022 (XMoCo); its equations were not read.

    >>> import torch
    >>> score_variance(torch.tensor([[0.1, 0.3]]), allow=torch.ones(1, 2, dtype=torch.bool))
    tensor(0.0100)
    """
    scores, number = wide(scores), allow.sum().clamp(min=1)
    mean = (scores * allow).sum() / number
    return ((scores - mean) ** 2 * allow).sum() / number

"""Soft classes that are sure of each image and use every class, by maximal mutual information."""

import math

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def mira(
    scores: Tensor,
    *,
    temperature: float,
    beta: float,
    iterations: int,
    fixed: Tensor | None = None,
    queue: Tensor | None = None,
    prior: Tensor | None = None,
) -> Tensor:
    """The classes W nearest to p = softmax(scores / t) that say most about the images.

    W is the minimum of mean_i KL(w_i || p_i) - beta MI(W), the mutual information being
    H(mean_i w_i) - mean_i H(w_i). There w_ij is proportional to
    p_ij^(1 / (1 - beta)) m_j^(-beta / (1 - beta)) with m = mean_i w_i, which a damped iteration
    finds. All of it is in logarithms. With beta = 0 it is W = p.

    Args:
        scores: [B, K] similarities of images and classes, of any size.
        temperature: t.
        beta: weight of the mutual information, in [0, 1).
        iterations: 30 in the paper; 0 is one correction of the start.
        fixed: [F, K] probabilities of further images whose classes are known: they stay, and
            count in m.
        queue: [M, K] scores of earlier images that share the balance but are not returned.
        prior: [K] > 0, used in place of an even use: H(m) is then -KL(m || prior).

    Returns:
        [B, K] probabilities in float32 or float64, without gradient; rows sum to 1.

    Source: Lee et al. 2022, eq. 8 to 10 (MIRA).

    >>> scores = torch.tensor([[2.0, 1.0], [2.0, 1.5]])
    >>> mira(scores, temperature=1.0, beta=0.9, iterations=30).round()
    tensor([[1., 0.],
            [0., 1.]])
    """
    rows = scores if queue is None else torch.cat([queue, scores])
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    sharp = functional.log_softmax(rows / (temperature * (1 - beta)), dim=1)
    known = None if fixed is None else fixed.to(sharp).log()
    number = len(sharp) + (0 if known is None else len(known))

    wanted = 0.0 if prior is None else prior.to(sharp).log()

    def log_use(log_rows: Tensor) -> Tensor:
        """Logarithm of the mean of all rows [1, K]."""
        every = log_rows if known is None else torch.cat([log_rows, known])
        return every.logsumexp(dim=0, keepdim=True) - math.log(number)

    def assigned(log_v: Tensor) -> Tensor:
        return functional.log_softmax(sharp - (log_v - wanted) * (beta / (1 - beta)), dim=1)

    if not len(sharp):
        return sharp
    log_v = (1 - beta) * log_use(sharp)
    for _ in range(iterations):
        log_v = (1 - beta) * log_use(assigned(log_v)) + beta * log_v
    return assigned(log_v)[len(rows) - len(scores) :].exp()

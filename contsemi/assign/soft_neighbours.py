"""How much of a positive each stored row is, by what a teacher thinks of it."""

import torch
from torch import Tensor
from torch.nn import functional

LOWEST = -1e30


@torch.no_grad()
def soft_neighbours(
    scores: Tensor,
    *,
    temperature: float,
    neighbours: int,
    variant: str = "soft",
    allow: Tensor | None = None,
) -> Tensor:
    """The relation r of each key with each row, in [0, 1].

    With p = softmax(scores / t) and the confidence c = 1 - H(p) / log K: ``soft`` is
    min(1, n c p); ``confident`` is c for the n nearest rows (AHCL), ``hard`` is 1 for these.

    Args:
        scores: [N, K] cosines of the teacher's keys and the rows.
        temperature: t.
        neighbours: n; with 0 nothing is related.
        variant: ``soft``, ``confident`` or ``hard``.
        allow: bool [K] or [N, K], rows there are; ``None`` for all. K is their number; a single
            one tells nothing, and the confidence is 0.

    Returns:
        [N, K] in float32 or float64, without gradient.

    Source: Feng & Patras 2022, eq. 4 to 7 (ASCL).

    >>> scores = torch.tensor([[1.0, 0.0, 0.0]])
    >>> soft_neighbours(scores, temperature=0.01, neighbours=1).round()
    tensor([[1., 0., 0.]])
    """
    logits = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    if allow is None:
        allow = torch.ones_like(logits, dtype=torch.bool)
    allow = allow.expand(logits.shape) & (scores > -torch.inf)
    logits = logits.masked_fill(~allow, LOWEST)
    number = allow.sum(dim=1, keepdim=True)
    if variant == "soft":
        near = torch.ones_like(allow)
    else:
        best = logits.topk(min(neighbours, logits.shape[1]), dim=1).indices
        near = torch.zeros_like(allow).scatter(1, best, True)
    near &= allow
    if variant == "hard":
        return near.to(logits)
    log_p = functional.log_softmax(logits, dim=1)
    entropy = -(log_p.exp() * log_p * allow).sum(dim=1, keepdim=True)
    sure = 1 - entropy / number.clamp(min=2).to(logits).log()
    sure = torch.where(number > 1, sure.clamp(min=0), 0)
    if variant == "confident":
        return sure * near
    return (neighbours * sure * log_p.exp()).clamp(max=1) * near

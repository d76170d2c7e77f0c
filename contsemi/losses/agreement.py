"""Agreement: two sides are to tell the same candidates apart in the same way."""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide


def agreement(scores: Tensor, reference: Tensor, *, temperature: float) -> Tensor:
    """KL(softmax(scores / t) || softmax(reference / t)) of each row.

    Args:
        scores: [..., M] of the side that learns.
        reference: [..., M] of the side that stands still; no gradient flows into it.
        temperature: t, of both.

    Returns:
        [...], each at least 0 up to rounding.

    Source: Mitrovic et al. 2021, eq. 3 (ReLIC); Bosnjak et al. 2023 (SemPPL).

    >>> agreement(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), temperature=1.0)
    tensor(0.4621)
    """
    scores, reference = wide(scores) / temperature, wide(reference.detach()) / temperature
    ours, theirs = F.log_softmax(scores, dim=-1), F.log_softmax(reference, dim=-1)
    return (ours.exp() * (ours - theirs)).sum(dim=-1)


def invariance(scores: Tensor, *, temperature: float, counts: Tensor | None = None) -> Tensor:
    """Mean :func:`agreement` of each view with the next one, which stands still.

    Args:
        scores: [V, ..., M], the same candidates in each view.
        temperature: divides the scores.
        counts: bool [V, ...], which rows count; ``None`` for all.

    Returns:
        A scalar; zero for a single view, and where no row counts.

    >>> invariance(torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]]), temperature=1.0)
    tensor(0.4621)
    """
    apart = agreement(scores, scores.roll(1, 0), temperature=temperature)
    counts = torch.ones_like(apart) if counts is None else counts.to(apart.dtype)
    return (apart * counts).sum() / counts.sum().clamp(min=1)

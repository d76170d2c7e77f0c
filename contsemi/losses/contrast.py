"""Contrast: a query is to be told from all candidates but those that it belongs to."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide

LOWEST = -1e30  # stands for the score of what may not be compared; -inf would give no gradient


def cosines(queries: Tensor, candidates: Tensor) -> Tensor:
    """Cosines [N, M] of rows [N, D] and [M, D], in float32 at least.

    >>> cosines(torch.tensor([[3.0, 4.0]]), torch.eye(2))
    tensor([[0.6000, 0.8000]])
    """
    with torch.autocast(queries.device.type, enabled=False):
        return F.normalize(wide(queries), dim=1) @ F.normalize(wide(candidates), dim=1).T


def angular_margin(scores: Tensor, margin: float) -> Tensor:
    """``cos(arccos(s) + margin)`` of cosines of any shape: a margin of the angle, in radians.

    >>> angular_margin(torch.tensor([0.0]), torch.pi / 6)
    tensor([-0.5000])
    """
    scores = wide(scores).clamp(-1, 1)
    beside = (1 - scores.square()).clamp(min=torch.finfo(scores.dtype).eps).sqrt()
    return scores * math.cos(margin) - beside * math.sin(margin)


def contrast(
    scores: Tensor,
    weights: Tensor,
    *,
    temperature: float,
    allow: Tensor | None = None,
    margin: float = 0.0,
) -> Tensor:
    """Mean of -sum_j w_j log softmax_j((s - margin w) / t) over the rows that have a positive.

    The weights of each row are made to sum to 1. One positive a row is InfoNCE, several are SupCon,
    soft ones serve what assigns softly. Which side learns is decided where the scores are made:
    detach the one that is to stand still.

    Args:
        scores: [N, M] similarities of any size; -inf is as good as not allowed.
        weights: [N, M] >= 0, bool or float, how much each candidate is a positive.
        temperature: t.
        allow: bool [N, M], which candidates are compared at all; a positive that is not allowed
            does not count.
        margin: taken off the scores of positives, in proportion to their weights, which sum to 1.

    Returns:
        A scalar; zero if no row has a positive.

    >>> contrast(torch.zeros(1, 4), torch.eye(1, 4), temperature=0.1)  # log 4
    tensor(1.3863)
    """
    scores = wide(scores)
    weights = weights.to(scores.dtype)
    barred = scores == -torch.inf if allow is None else ~allow | (scores == -torch.inf)
    weights = weights.masked_fill(barred, 0)
    total = weights.sum(dim=1)
    least = total.where(total > 0, 1)
    logits = scores - margin * weights / least[:, None] if margin else scores
    log_probs = F.log_softmax((logits / temperature).masked_fill(barred, LOWEST), dim=1)
    rows = -(weights * log_probs).sum(dim=1) / least
    return rows.sum() / (total > 0).sum().clamp(min=1)


def first_contrast(scores: Tensor, *, temperature: float, counts: Tensor | None = None) -> Tensor:
    """InfoNCE of the first candidate against the others.

    Args:
        scores: [..., 1 + K].
        temperature: divides the scores.
        counts: bool [...], which rows count; ``None`` for all.

    Returns:
        A scalar: the mean over the rows that count.

    >>> first_contrast(torch.zeros(2, 4), temperature=0.1)  # log 4
    tensor(1.3863)
    """
    rows = scores.flatten(0, -2)
    first = torch.zeros_like(rows)
    first[:, 0] = 1 if counts is None else counts.flatten()
    return contrast(rows, first, temperature=temperature)


def paired_contrast(
    first: Tensor, second: Tensor, *, temperature: float, allow: Tensor | None = None
) -> Tensor:
    """NT-Xent over the 2 N rows of two views: the other view against everything else.

    Args:
        first: [N, D] embeddings of one view of each image, not normalised.
        second: [N, D], of the other.
        temperature: divides the cosines.
        allow: bool [N, N], False where two images are not to be pushed apart (in any view).

    Returns:
        A scalar; zero if N is 0.

    Source: Chen et al. 2020, eq. 1 (SimCLR).

    >>> paired_contrast(torch.eye(2), torch.eye(2), temperature=1.0)  # log(1 + 2 / e)
    tensor(0.5514)
    """
    number = len(first)
    rows = torch.cat([first, second])
    own = torch.eye(2 * number, dtype=torch.bool, device=rows.device)
    positives = own.roll(number, dims=1)
    compared = ~own if allow is None else ~own & (allow.repeat(2, 2) | positives)
    return contrast(cosines(rows, rows), positives, temperature=temperature, allow=compared)


def relation_contrast(embeddings: Tensor, relation: Tensor, *, temperature: float) -> Tensor:
    """SupCon within one view: the related rows against all others; keys carry no gradient.

    Args:
        embeddings: [N, D], not normalised.
        relation: bool or weights [N, N]; its diagonal does not count.
        temperature: divides the cosines.

    Returns:
        A scalar: the mean over the rows that are related to another one.

    Source: Khosla et al. 2020, eq. 2 (SupCon); Zheng et al. 2021, eq. 7 (WCL), whose official code
        gathers the keys without gradient.

    >>> same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    >>> relation_contrast(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), same, temperature=1.0)
    tensor(0.3133)
    """
    scores = cosines(embeddings, embeddings.detach())
    others = ~torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
    return contrast(scores, relation, temperature=temperature, allow=others)


def view_contrast(queries: Tensor, keys: Tensor, *, batch_size: int, temperature: float) -> Tensor:
    """InfoNCE of views that only predict: the views of their image against those of the others.

    Args:
        queries: [m * B, D] embeddings, view-major, not normalised.
        keys: [V * B, D], likewise; no gradient flows into them.
        batch_size: B > 0.
        temperature: divides the cosines.

    Returns:
        A scalar: the mean over all pairs of a query and a view of its image.

    >>> view_contrast(torch.eye(2), torch.eye(2), batch_size=2, temperature=1.0)  # log(1 + 1 / e)
    tensor(0.3133)
    """
    scores = cosines(queries, keys.detach())
    rows = scores.view(len(queries), -1, batch_size).flatten(0, 1)
    own = torch.eye(batch_size, dtype=torch.bool, device=rows.device)
    views = len(keys) // batch_size
    positives = own.repeat(len(queries) // batch_size, 1).repeat_interleave(views, dim=0)
    return contrast(rows, positives, temperature=temperature)

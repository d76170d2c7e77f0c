"""Soft nearest neighbours over very many supports, without a matrix of queries by supports.

The class vote of a set of supports is a pair of logarithms: log sum_j exp(s_j) y_j for each class
and log sum_j exp(s_j). Pairs of disjoint sets add up, so supports are taken piece by piece, and
sets of different kinds (re-embedded images, rows that stand still, a summary of rows far away) are
joined at the end. The backward pass makes each piece's scores again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.nearest import LIFT, LOWEST, WIDEST
from contsemi.losses.numerics import wide
from contsemi.types.outputs import RowTable
from contsemi.types.soft_labels import SoftLabels

_SCORES = 1 << 22  # scores held at a time
_RAISE = 40.0  # splits exponents of up to 120 between two factors that float32 can hold


@dataclass(frozen=True, slots=True)
class Votes:
    """What a set of supports says of each query, not normalised.

    Attributes:
        log_votes: [N, C], log of the summed weight of each class.
        log_total: [N], log of the summed weight of all supports; below -1e29 if there is none.
    """

    log_votes: Tensor
    log_total: Tensor

    def log_probs(self) -> Tensor:
        """Log-probabilities [N, C]; zeros without gradient for a query that no support hears."""
        found = self.log_votes - self.log_total[:, None]
        return found.masked_fill((self.log_total < LOWEST / 10)[:, None], 0.0)


def sum_votes(first: Votes, *others: Votes) -> Votes:
    """The votes of disjoint sets of supports as one.

    >>> one = score_votes(torch.zeros(1, 1), torch.tensor([[1.0, 0.0]]), 1.0)
    >>> two = score_votes(torch.zeros(1, 1), torch.tensor([[0.0, 1.0]]), 1.0)
    >>> sum_votes(one, two).log_probs().exp()
    tensor([[0.5000, 0.5000]])
    """
    for each in others:
        first = Votes(
            torch.logaddexp(first.log_votes, each.log_votes),
            torch.logaddexp(first.log_total, each.log_total),
        )
    return first


def score_votes(scores: Tensor, labels: Tensor, temperature: float) -> Votes:
    """The votes of supports whose scores are at hand.

    Args:
        scores: [N, S] cosines over the temperature, plus the logarithm of a weight; not -inf.
        labels: [S, C] soft labels, or [N, S, C] where each query has supports of its own.
        temperature: what the cosines were divided by.

    >>> score_votes(torch.zeros(1, 2), torch.eye(2), 1.0).log_probs().exp()
    tensor([[0.5000, 0.5000]])
    """
    return Votes(_log_votes(scores, labels, temperature), scores.logsumexp(1))


def row_votes(
    queries: Tensor,
    rows: Tensor | RowTable,
    labels: Tensor | SoftLabels,
    places: Tensor,
    *,
    temperature: float,
) -> Votes:
    """The votes of a few rows for each query, of many that stand still; N k D numbers.

    Args:
        queries: [N, D] embeddings; differentiable.
        rows: [M, D] embeddings of any precision.
        labels: [M, C] soft labels.
        places: int64 [N, k], the rows that vote for each query; -1 for none.
        temperature: divides the cosines.

    >>> places = torch.tensor([[1, -1]])
    >>> row_votes(torch.ones(1, 2), torch.eye(2), torch.eye(2), places, temperature=1.0).log_total
    tensor([0.7071])
    """
    with torch.autocast(queries.device.type, enabled=False):
        unit = F.normalize(wide(queries), dim=1)
        known = places.clamp(min=0)
        chosen = F.normalize(rows[known].to(unit.dtype), dim=2)
        scores = torch.einsum("nd,nkd->nk", unit, chosen) / temperature
        scores = scores.masked_fill(places < 0, LOWEST)
        return score_votes(scores, labels[known], temperature)


def support_votes(
    queries: Tensor,
    supports: Tensor,
    labels: Tensor | SoftLabels,
    *,
    temperature: float,
    weights: Tensor | None = None,
) -> Votes:
    """The votes of a set of supports; differentiable in queries and supports.

    Args:
        queries: [N, D] embeddings.
        supports: [S, D] embeddings of any precision, S > 0; normalised piece by piece.
        labels: [S, C] soft labels.
        temperature: divides the cosines.
        weights: [S] factors >= 0 on the votes. ``None`` for ones.

    Raises:
        ValueError: there is no support.

    >>> found = support_votes(torch.eye(2), torch.eye(2), torch.eye(2), temperature=1.0)
    >>> found.log_probs()[0].exp()
    tensor([0.7311, 0.2689])
    """
    if len(supports) == 0:
        raise ValueError("soft nearest neighbours need at least one support")
    with torch.autocast(queries.device.type, enabled=False):
        unit = F.normalize(wide(queries), dim=1)
        log_weights = None if weights is None else wide(weights.detach()).log()
        known = labels.detach() if isinstance(labels, Tensor) else labels
        found: tuple[Tensor, Tensor] = _Stream.apply(  # type: ignore[no-untyped-call,unused-ignore]
            unit, supports, known, log_weights, temperature
        )
    return Votes(*found)


def _scores(unit: Tensor, rows: Tensor, log_weights: Tensor | None, temperature: float) -> Tensor:
    scores = unit @ F.normalize(rows.to(unit.dtype), dim=1).T / temperature
    return scores if log_weights is None else (scores + log_weights).clamp_min(LOWEST)


def _narrow(temperature: float) -> bool:
    """Whether the scores' exponentials fit into float32 together, so that a product will do."""
    return 2 / temperature < WIDEST


class _Stream(torch.autograd.Function):
    """log sum_j exp(s_j) y_j and log sum_j exp(s_j), by pieces, both ways."""

    @staticmethod
    def forward(
        ctx: Any,
        unit: Tensor,
        supports: Tensor,
        labels: Tensor | SoftLabels,
        log_weights: Tensor | None,
        temperature: float,
    ) -> tuple[Tensor, Tensor]:
        votes = unit.new_full((len(unit), labels.shape[1]), 2 * LOWEST)
        total = unit.new_full((len(unit),), 2 * LOWEST)
        for part in _pieces(unit, labels, temperature):
            rows = None if log_weights is None else log_weights[part]
            scores = _scores(unit, supports[part], rows, temperature)
            votes = torch.logaddexp(votes, _log_votes(scores, labels[part], temperature))
            total = torch.logaddexp(total, scores.logsumexp(1))
        ctx.save_for_backward(unit, supports, log_weights, votes, total)
        ctx.temperature, ctx.labels = temperature, labels
        return votes, total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        unit, supports, log_weights, votes, total = ctx.saved_tensors
        labels = ctx.labels
        grad_unit = torch.zeros_like(unit)
        grad_rows = torch.zeros_like(supports) if ctx.needs_input_grad[1] else None
        for part in _pieces(unit, labels, ctx.temperature):
            with torch.enable_grad():
                asked = unit.detach().requires_grad_()
                rows = supports[part].detach().requires_grad_(grad_rows is not None)
                own = None if log_weights is None else log_weights[part]
                scores = _scores(asked, rows, own, ctx.temperature)
            inner = _score_grads(
                scores.detach(), labels[part], votes, total, grads, ctx.temperature
            )
            wanted = [asked] if grad_rows is None else [asked, rows]
            found = torch.autograd.grad(scores, wanted, inner)
            grad_unit += found[0]
            if grad_rows is not None:
                grad_rows[part] = found[1]
        return grad_unit, grad_rows, None, None, None


def _pieces(unit: Tensor, labels: Tensor | SoftLabels, temperature: float) -> Iterator[slice]:
    """Slices of the supports, as long as memory allows."""
    each = len(unit) * (1 if _narrow(temperature) else labels.shape[1])
    size = max(1, _SCORES // max(1, each))
    for start in range(0, len(labels), size):
        yield slice(start, start + size)


def _log_votes(scores: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Log of exp(scores) @ labels, [N, C]; labels [S, C] or [N, S, C]."""
    labels = labels.to(scores.dtype)
    if not _narrow(temperature):
        return (scores.unsqueeze(2) + labels.log().clamp_min(LOWEST)).logsumexp(1)
    highest = scores.amax(1, keepdim=True)
    weights = (scores - highest + LIFT).exp()
    votes = weights @ labels if labels.ndim == 2 else (weights.unsqueeze(1) @ labels).squeeze(1)
    return votes.clamp_min(torch.finfo(votes.dtype).tiny).log() + highest - LIFT


def _score_grads(
    scores: Tensor,
    labels: Tensor,
    votes: Tensor,
    total: Tensor,
    grads: tuple[Tensor, ...],
    temperature: float,
) -> Tensor:
    """The gradient [N, S'] with respect to the scores of a piece."""
    labels = labels.to(scores.dtype)
    share = (scores - total[:, None]).exp() * grads[1][:, None]
    if not _narrow(temperature):
        joint = scores.unsqueeze(2) + labels.log().clamp_min(LOWEST) - votes.unsqueeze(1)
        return share + (joint.exp() * grads[0].unsqueeze(1)).sum(2)
    rarity = (total[:, None] - votes).clamp_max(3 * _RAISE) - _RAISE
    lifted = (scores - total[:, None] + _RAISE).exp()
    return share + lifted * ((grads[0] * rarity.exp()) @ labels.T)

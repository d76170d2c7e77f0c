"""Carrying stored embeddings into the space of a network that has moved on.

A map is fitted on images that both networks saw: those of the present task and the exemplars, the
only ones of old classes. How well it serves is measured by how well old classes are still found
among the rows that it carried (``scripts/bench_drift.py``).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsemi.memory.moments import fit_affine

__all__ = ["Drift", "fit_drift", "still_found"]

Drift = Literal["none", "translation", "linear", "mlp"]

_WIDTH = 0.2  # of the Gaussian that weighs displacements; SDC has 0.3
_RIDGE = 0.03  # pull towards the identity, relative to the mean variance
_PIECE = 4096
_STEPS, _BATCH, _RATE, _DECAY = 200, 256, 3e-3, 1e-3  # of the small network


def fit_drift(
    kind: Drift,
    old: Tensor,
    new: Tensor,
    *,
    weights: Tensor | None = None,
    draw: torch.Generator,
) -> Callable[[Tensor], Tensor]:
    """A map from an old embedding space into a new one.

    Args:
        kind: ``none``; ``translation``, by the displacement of the images near a row; ``linear``,
            an affine map by ridge regression; ``mlp``, by a small network on top of ``linear``.
        old: [n, D] unit embeddings by the old network.
        new: [n, D] unit embeddings of the same images by the new one.
        weights: [n] weight of each image, >= 0, not all zero; ``None`` for equal ones.
        draw: draws the batches and weights of ``mlp``; on the CPU.

    Returns:
        Takes rows [M, D] of the old space to unit rows float32 [M, D] of the new one.

    Source: translation by Yu et al. 2020 (SDC), with cosines in place of distances.
    """
    old, new = old.detach().float(), new.detach().float()
    weights = old.new_ones(len(old)) if weights is None else weights
    carry: Callable[[Tensor], Tensor]
    if kind == "none" or not len(old):
        carry = _same
    elif kind == "translation":
        carry = _Translation(old, new - old, weights)
    else:
        affine = fit_affine(old, new, weights=weights, ridge=_RIDGE)
        carry = affine if kind == "linear" else _fit_network(affine, old, new, weights, draw)

    def carry_unit(rows: Tensor) -> Tensor:
        with torch.no_grad():
            return functional.normalize(carry(rows.float()), dim=1)

    return carry_unit


def still_found(
    rows: Tensor, labels: Tensor, queries: Tensor, classes: Tensor, *, k: int = 10
) -> float:
    """The share of queries whose class has most of the weight among their nearest rows.

    Args:
        rows: [M, D] unit rows of old classes, as they are stored now.
        labels: [M, C] their soft labels.
        queries: [N, D] unit embeddings of other images of old classes, by the present network.
        classes: int64 [N], their true columns.
        k: rows that vote, each by its cosine to the tenth power.
    """
    cosines, nearest = (queries.float() @ rows.float().T).topk(min(k, len(rows)), dim=1)
    weight = cosines.clamp_min(1e-6).pow(10)
    votes = torch.einsum("nk,nkc->nc", weight, labels.float()[nearest])
    return (votes.argmax(1) == classes).float().mean().item()


def _same(rows: Tensor) -> Tensor:
    return rows


class _Translation:
    """A row moves as the images near it did.

    Args:
        places: [n, D] unit embeddings.
        moves: [n, D] how far each went.
        weights: [n] what each counts for.
    """

    def __init__(self, places: Tensor, moves: Tensor, weights: Tensor) -> None:
        self._places, self._moves, self._log_weights = places, moves, weights.log()

    def __call__(self, rows: Tensor) -> Tensor:
        parts = []
        for part in torch.split(rows, _PIECE):
            # exp(-|x - y|^2 / (2 w^2)) of unit rows is exp(cos / w^2) up to a factor.
            near = (part @ self._places.T / _WIDTH**2 + self._log_weights).softmax(1)
            parts.append(part + near @ self._moves)
        return torch.cat(parts) if parts else rows


def _fit_network(
    linear: Callable[[Tensor], Tensor],
    old: Tensor,
    new: Tensor,
    weights: Tensor,
    draw: torch.Generator,
) -> Callable[[Tensor], Tensor]:
    """What the linear map leaves, by one hidden layer that begins at nothing."""
    width = old.shape[1]
    into = torch.randn(width, 2 * width, generator=draw).to(old.device) * (2 / width) ** 0.5
    first = [into, into.new_zeros(2 * width), into.new_zeros(2 * width, width)]
    params = [nn.Parameter(x) for x in first]
    shares = weights.cpu()

    def network(rows: Tensor) -> Tensor:
        return linear(rows) + functional.relu(rows @ params[0] + params[1]) @ params[2]

    with torch.enable_grad():
        optimiser = torch.optim.AdamW(params, lr=_RATE, weight_decay=_DECAY)
        for step in range(_STEPS):
            rows = torch.multinomial(shares, _BATCH, replacement=True, generator=draw)
            rows = rows.to(old.device)
            for group in optimiser.param_groups:
                group["lr"] = _RATE * (1 - step / _STEPS)
            loss = (functional.normalize(network(old[rows]), dim=1) - new[rows]).square().sum(1)
            optimiser.zero_grad(set_to_none=True)
            loss.mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network

"""Carrying stored embeddings into the space of a network that has moved on.

A map is fitted on images that both networks saw: those of the present task. How well it serves is
measured by how well old classes are still found among the rows that it carried.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Drift", "fit_drift", "linear_map", "still_found"]

Drift = Literal["none", "translation", "linear", "mlp"]

_WIDTH = 0.3  # of the Gaussian that weighs displacements, as in SDC
_RIDGE = 1e-2
_PIECE = 4096
_STEPS, _RATE, _DECAY = 200, 3e-3, 1e-3  # of the small network


def fit_drift(
    kind: Drift, old: Tensor, new: Tensor, *, draw: torch.Generator
) -> Callable[[Tensor], Tensor]:
    """A map from an old embedding space into a new one.

    Args:
        kind: ``none``; ``translation``, by the displacement of the images near a row; ``linear``,
            by ridge regression; ``mlp``, by a small network on top of ``linear``.
        old: [n, D] unit embeddings by the old network.
        new: [n, D] unit embeddings of the same images by the new one.
        draw: draws the batches and weights of ``mlp``; on the CPU.

    Returns:
        Takes rows [M, D] of the old space to unit rows float32 [M, D] of the new one.

    Source: translation by Yu et al. 2020 (SDC), with cosines in place of distances.
    """
    old, new = old.detach().float(), new.detach().float()
    carry: Callable[[Tensor], Tensor]
    if kind == "none" or not len(old):
        carry = _same
    elif kind == "translation":
        carry = _Translation(old, new - old)
    else:
        matrix = linear_map(old, new, ridge=_RIDGE)

        def linear(rows: Tensor) -> Tensor:
            return rows @ matrix

        carry = linear if kind == "linear" else _fit_network(linear, old, new, draw)

    def carry_unit(rows: Tensor) -> Tensor:
        with torch.no_grad():
            return functional.normalize(carry(rows.float()), dim=1)

    return carry_unit


def linear_map(old: Tensor, new: Tensor, *, ridge: float) -> Tensor:
    """Ridge regression towards the identity: with few images it stays close to "no drift".

    Args:
        old: [n, D] embeddings.
        new: [n, D] embeddings of the same images by the new network.
        ridge: weight of the identity, per image.

    Returns:
        [D, D]; ``old @ map`` approximates ``new``.
    """
    eye = torch.eye(old.shape[1], device=old.device)
    gram = old.T @ old + ridge * len(old) * eye
    found: Tensor = torch.linalg.solve(gram, old.T @ new + ridge * len(old) * eye)
    return found


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
    """

    def __init__(self, places: Tensor, moves: Tensor) -> None:
        self._places, self._moves = places, moves

    def __call__(self, rows: Tensor) -> Tensor:
        parts = []
        for part in torch.split(rows, _PIECE):
            # exp(-|x - y|^2 / (2 w^2)) of unit rows is exp(cos / w^2) up to a factor.
            near = (part @ self._places.T / _WIDTH**2).softmax(1)
            parts.append(part + near @ self._moves)
        return torch.cat(parts) if parts else rows


def _fit_network(
    linear: Callable[[Tensor], Tensor], old: Tensor, new: Tensor, draw: torch.Generator
) -> Callable[[Tensor], Tensor]:
    """What the linear map leaves, by one hidden layer that begins at nothing."""
    width = old.shape[1]
    into = torch.randn(width, 2 * width, generator=draw).to(old.device) * (2 / width) ** 0.5
    weights = [into, into.new_zeros(2 * width), into.new_zeros(2 * width, width)]
    params = [nn.Parameter(x) for x in weights]

    def network(rows: Tensor) -> Tensor:
        return linear(rows) + functional.relu(rows @ params[0] + params[1]) @ params[2]

    with torch.enable_grad():
        optimiser = torch.optim.AdamW(params, lr=_RATE, weight_decay=_DECAY)
        for step in range(_STEPS):
            rows = torch.randint(len(old), (min(256, len(old)),), generator=draw).to(old.device)
            for group in optimiser.param_groups:
                group["lr"] = _RATE * (1 - step / _STEPS)
            loss = (functional.normalize(network(old[rows]), dim=1) - new[rows]).square().sum(1)
            optimiser.zero_grad(set_to_none=True)
            loss.mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network

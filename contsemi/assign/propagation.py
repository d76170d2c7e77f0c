"""Labels spread over a graph of neighbours: an image is what those near it are."""

import math

import torch
from torch import Tensor


@torch.no_grad()
def propagated(
    labels: Tensor,
    neighbours: Tensor,
    cosines: Tensor,
    *,
    alpha: float,
    power: float = 3.0,
    rounds: int = 20,
) -> Tensor:
    """Soft labels Z = (I - a S)^-1 Y of all rows, by conjugate gradients.

    S = D^-1/2 (A + A^T) D^-1/2 with A_ij = max(cos_ij, 0)^g for the neighbours j of i, without
    loops. Classes are balanced, the mass of each divided by what it has in all, before rows are
    brought to sum 1.

    Args:
        labels: [N, C], soft or one-hot labels; zeros for a row that has none.
        neighbours: int64 [N, K], places of rows near each row; itself or -1 for none.
        cosines: [N, K], of these.
        alpha: a in [0, 1): how far labels spread.
        power: g.
        rounds: of conjugate gradients.

    Returns:
        [N, C] in the precision of the labels, float32 at least; evenly spread over the classes
        for rows that no label reaches.

    Source: Iscen et al. 2019, "Label propagation for deep semi-supervised learning", eq. 9 and 10.

    >>> labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    >>> path, cosines = torch.tensor([[1], [2], [1]]), torch.tensor([[0.9], [0.6], [0.6]])
    >>> propagated(labels, path, cosines, alpha=0.5)
    tensor([[0.8699, 0.1301],
            [0.5365, 0.4635],
            [0.1133, 0.8867]])
    """
    wanted = labels.to(torch.promote_types(labels.dtype, torch.float32))
    spread = _normalised(neighbours, cosines.to(wanted), power)
    found = wanted.clone()  # the first guess
    rest = wanted - (found - alpha * (spread @ found))
    step, size = rest.clone(), rest.square().sum(0)
    tiny = torch.finfo(wanted.dtype).tiny
    for _ in range(rounds):  # S is symmetric and a < 1: the system is positive definite
        moved = step - alpha * (spread @ step)
        length = size / (step * moved).sum(0).clamp_min(tiny)
        found = found + length * step
        rest = rest - length * moved
        before, size = size, rest.square().sum(0)
        step = rest + size / before.clamp_min(tiny) * step
    mass = found.clamp_min(0)
    mass = mass / mass.sum(0, keepdim=True).clamp_min(tiny)
    total = mass.sum(1, keepdim=True)
    even = torch.full_like(mass, 1 / max(mass.shape[1], 1))
    return torch.where(total > tiny**0.5, mass / total.clamp_min(tiny), even)


def _normalised(neighbours: Tensor, cosines: Tensor, power: float) -> Tensor:
    """The sparse matrix S [N, N]."""
    count = len(neighbours)
    rows = torch.arange(count, device=neighbours.device)[:, None].expand_as(neighbours)
    real = (neighbours >= 0) & (neighbours != rows)
    weight = cosines.clamp_min(0).pow(power)[real]
    pair = torch.stack([rows[real], neighbours[real]])
    edges, sizes = torch.cat([pair, pair.flip(0)], 1), (count, count)
    both = torch.sparse_coo_tensor(
        edges, torch.cat([weight, weight]), sizes, check_invariants=False
    ).coalesce()
    (left, right), weight = both.indices(), both.values()
    degree = torch.zeros(count, dtype=weight.dtype, device=weight.device)
    root = degree.index_add(0, left, weight).clamp_min(torch.finfo(weight.dtype).tiny).rsqrt()
    shares = weight * root[left] * root[right]
    return torch.sparse_coo_tensor(
        both.indices(), shares, sizes, is_coalesced=True, check_invariants=False
    )


def certainty(probs: Tensor) -> Tensor:
    """How sure soft classes are, 1 - H / log C in [0, 1]; 1 for a single class.

    Args:
        probs: [N, C], rows that sum to 1.

    Returns:
        [N].

    >>> certainty(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    tensor([0., 1.])
    """
    if probs.shape[1] < 2:
        return probs.new_ones(len(probs))
    entropy: Tensor = torch.special.entr(probs).sum(1)
    return (1 - entropy / math.log(probs.shape[1])).clamp(0, 1)

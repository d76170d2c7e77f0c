"""Which stored rows are of an image's kind: neighbours of neighbours, diffused, and labels first.

Source: Zhang et al. 2023, "PromptCAL", section 3.3 (SemiAG).
"""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from contsemi.assign.relation import overruled


@torch.no_grad()
def neighbour_index(rows: Tensor, number: int) -> Tensor:
    """The rows of greatest cosine to each row, the row itself left out.

    Args:
        rows: [N, D], not normalised.
        number: k; N - 1 of them if there are fewer.

    Returns:
        int64 [N, k].

    >>> neighbour_index(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 1)
    tensor([[1],
            [0],
            [1]])
    """
    unit = functional.normalize(rows.to(torch.promote_types(rows.dtype, torch.float32)), dim=1)
    scores = (unit @ unit.T).fill_diagonal_(-torch.inf)
    return scores.topk(min(number, len(rows) - 1), dim=1).indices


def consensus(neighbours: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """How often two rows are neighbours of a third, or of each other.

    With S the incidence of the neighbours, SᵀS without its diagonal, plus S and its transpose.

    Args:
        neighbours: int64 [N, k], without the row itself.
        dtype: of the counts.

    Returns:
        [N, N] with a zero diagonal.

    >>> consensus(torch.tensor([[1], [0], [0]]))
    tensor([[0., 2., 1.],
            [2., 0., 0.],
            [1., 0., 0.]])
    """
    incidence = torch.zeros(
        len(neighbours), len(neighbours), dtype=dtype, device=neighbours.device
    ).scatter_(1, neighbours, 1.0)
    shared = (incidence.T @ incidence).fill_diagonal_(0.0)
    return shared + incidence + incidence.T


def diffused(graph: Tensor, steps: int) -> Tensor:
    """Random walks: A Q Aᵀ + I with A the graph whose rows sum to 1, beginning at Q = A.

    Args:
        graph: [N, N] counts >= 0; a row without any stays one of zeros.
        steps: of the walk, at least one.

    Returns:
        [N, N].

    >>> diffused(torch.tensor([[0.0, 2.0], [2.0, 0.0]]), 1)
    tensor([[1., 1.],
            [1., 1.]])
    """
    total = graph.sum(dim=1, keepdim=True)
    walk = graph / total.where(total > 0, 1)
    found = walk
    for _ in range(steps):
        found = walk @ found @ walk.T
        found.diagonal().add_(1)
    return found


@torch.no_grad()
def affinity_graph(
    rows: Tensor,
    *,
    queries: int,
    neighbours: int,
    quantile: float,
    steps: int = 1,
) -> Tensor:
    """Which stored rows the walk reaches from each query with more than a threshold.

    The threshold is the quantile of those entries of the whole graph that are above the mean of
    the non-zero ones. On a CPU the graph is kept sparse: a row has some hundred entries of
    thousands. An accelerator would have to be waited for; there products of matrices are quick.

    Args:
        rows: [N, D], the queries and behind them the stored rows; not normalised.
        queries: Q, how many of the rows are queries.
        neighbours: k of the graph.
        quantile: in [0, 1].
        steps: of the walk.

    Returns:
        bool [Q, N - Q].

    >>> affinity_graph(torch.eye(3)[[0, 0, 1, 2]], queries=1, neighbours=1, quantile=0.0).shape
    torch.Size([1, 3])
    """
    index = neighbour_index(rows, neighbours)
    dtype = torch.promote_types(rows.dtype, torch.float32)
    if rows.device.type == "cpu":
        return _above_sparse(index, queries, quantile, steps, dtype)
    found = diffused(consensus(index, dtype), steps)
    return found[:queries, queries:] > _threshold(found, quantile)


def _threshold(found: Tensor, quantile: float) -> Tensor:
    """As ``torch.quantile``, whose input may not be as long, and without asking for a number."""
    values = found.flatten()
    mean = values.sum() / (values != 0).sum().clamp(min=1)
    above = values > mean
    ordered = values.masked_fill(~above, torch.inf).sort().values
    at = quantile * (above.sum() - 1).clamp(min=0).to(values.dtype)
    # an index of no dimension would be asked for as a number
    low, high = ordered[torch.stack([at.floor(), at.ceil()]).long()]
    return torch.lerp(low, high, at.frac())


def _above_sparse(
    index: Tensor, queries: int, quantile: float, steps: int, dtype: torch.dtype
) -> Tensor:
    number, k = index.shape
    kind = np.float64 if dtype == torch.float64 else np.float32
    starts = np.arange(0, number * k + 1, k)
    shape = (number, number)
    incidence = csr_array((np.ones(number * k, kind), index.numpy().ravel(), starts), shape)
    shared = incidence.T @ incidence
    shared.setdiag(0)
    graph = csr_array(shared + incidence + incidence.T)
    graph.eliminate_zeros()
    total = graph.sum(axis=1)
    graph.data /= np.repeat(np.where(total > 0, total, 1).astype(kind), np.diff(graph.indptr))
    found, own = graph, csr_array((np.ones(number, kind), np.arange(number), np.arange(number + 1)))
    for _ in range(steps):
        found = graph @ found @ graph.T + own
    values = found.data[found.data != 0]
    above = values[values > values.mean()]
    threshold = np.quantile(above, quantile) if len(above) else np.inf
    return torch.from_numpy(found[:queries, queries:].toarray() > threshold)


def sampled_negatives(positives: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """For each row others drawn at random, so many that positives and negatives are a number.

    Args:
        positives: bool [N, M].
        number: of positives and negatives of a row; -1 for all of them. A row with more positives
            gets no negative.
        generator: on the device of ``positives``.

    Returns:
        bool [N, M].

    >>> sampled_negatives(torch.tensor([[True, False, False]]), 2, torch.Generator()).sum()
    tensor(1)
    """
    if number < 0:
        return ~positives
    lot = torch.rand(positives.shape, generator=generator, device=positives.device)
    place = lot.masked_fill(positives, 2.0).argsort(dim=1).argsort(dim=1)
    return ~positives & (place < number - positives.sum(dim=1, keepdim=True))


def affinity_relation(
    graph: Tensor, negatives: Tensor, labels: Tensor, others: Tensor
) -> tuple[Tensor, Tensor]:
    """Positives and negatives; labels overrule the graph and the draw where both rows have one.

    What the graph held to be of one kind and labels do not becomes a negative.

    Args:
        graph: bool [N, M], what the graph holds to be of one kind.
        negatives: bool [N, M], what was drawn to be compared with.
        labels: int64 [N]; -1 is no label.
        others: int64 [M].

    Returns:
        bool [N, M] each; no pair is in both.

    >>> affinity_relation(torch.tensor([[True]]), torch.tensor([[False]]), torch.tensor([0]),
    ...                   torch.tensor([1]))
    (tensor([[False]]), tensor([[True]]))
    """
    positives = overruled(graph, labels, others)
    return positives, (negatives | graph) & ~positives

"""Which images of a pool that may hold anything are near enough to a class to count for it."""

import torch
from torch import Tensor
from torch.nn import functional


def fits(
    features: Tensor,
    columns: Tensor,
    labelled: Tensor,
    labels: Tensor,
    *,
    means: Tensor,
    of: Tensor,
) -> Tensor:
    """Whether the nearest class is the one that is predicted, and as near as to its own images.

    Distances are cosines around the mean of the pool. An image may be as far from the mean of its
    class as the median labelled image is from the mean of the others of its class; where no class
    has two labelled images, as far as the median image of the pool is.

    Args:
        features: [n, F] of the pool.
        columns: int64 [n], their predicted classes.
        labelled: [L, F] of labelled images.
        labels: int64 [L], their columns.
        means: [C, F] further class means, of classes whose images are gone.
        of: int64 [C], the columns of these.

    Returns:
        bool [n].

    >>> near, far = torch.tensor([[1.0, 0.1], [1.0, -0.1]]), torch.tensor([[-1.0, 0.0]])
    >>> fits(torch.cat([near, far]), torch.tensor([0, 0, 0]), near, torch.tensor([0, 0]),
    ...      means=near[:0], of=torch.empty(0, dtype=torch.int64))
    tensor([ True,  True, False])
    """
    if not len(features):
        return torch.zeros(0, dtype=torch.bool, device=features.device)
    centre = features.mean(0)
    own, inverse = torch.unique(labels, return_inverse=True)
    member = (inverse[:, None] == torch.arange(len(own), device=own.device)).to(features)
    counts, sums = member.sum(0), member.T @ labelled.to(features)
    classes = torch.cat([means.to(features), sums / counts[:, None]])
    if not len(classes):
        return torch.zeros(len(features), dtype=torch.bool, device=features.device)
    away = 1 - _unit(features, centre) @ _unit(classes, centre).T
    nearest, place = away.min(1)
    known = counts[inverse] > 1
    bound = nearest.median()
    if known.any():
        rows, others = labelled.to(features)[known], (counts[inverse] - 1)[known, None]
        rest = (sums[inverse][known] - rows) / others
        bound = (1 - (_unit(rows, centre) * _unit(rest, centre)).sum(1)).median()
    return (nearest <= bound) & (torch.cat([of, own])[place] == columns)


def _unit(rows: Tensor, centre: Tensor) -> Tensor:
    return functional.normalize(rows - centre, dim=1)

"""Soft classes that use every class about equally, by Sinkhorn-Knopp in the log domain."""

import torch
from torch import Tensor


@torch.no_grad()
def sinkhorn(
    scores: Tensor,
    *,
    epsilon: float,
    iterations: int,
    queue: Tensor | None = None,
    prior: Tensor | None = None,
) -> Tensor:
    """Soft classes of a batch under a (nearly) uniform use of the K classes.

    Each iteration scales classes first and images last, in the order of the official code, so
    that rows sum to 1 and the shares of classes are uniform only in the limit.

    Args:
        scores: [B, K] similarities of images and classes, of any size.
        epsilon: temperature; smaller is closer to one-hot.
        iterations: 3 in SwAV; 0 gives one softmax over the whole matrix, times the rows.
        queue: [M, K] scores of earlier images that share the balance but are not returned.
        prior: [K] > 0, shares in which the classes are used instead of evenly.

    Returns:
        [B, K] probabilities in float32 or float64, without gradient.

    Source: Caron et al. 2020, section 3.1 (SwAV).

    >>> sinkhorn(torch.tensor([[1.0, 0.0], [1.0, 0.5]]), epsilon=0.1, iterations=3)
    tensor([[0.9638, 0.0362],
            [0.1522, 0.8478]])
    """
    rows = scores if queue is None else torch.cat([queue, scores])
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32)) / epsilon
    if iterations == 0:
        joint = rows.flatten().softmax(dim=0).view_as(rows) * len(rows)
        return joint[len(rows) - len(scores) :]
    # log Q = rows + by_row + by_class; the constants of the official updates cancel. Finishing
    # with a softmax makes rows sum to 1 at any size of the scores.
    by_row = rows.new_zeros(len(rows), 1)
    by_class = rows.new_zeros(1, rows.shape[1])
    wanted = 0.0 if prior is None else prior.to(rows).log()
    for i in range(iterations):
        by_class = wanted - (rows + by_row).logsumexp(dim=0, keepdim=True)
        if i < iterations - 1:
            by_row = -(rows + by_class).logsumexp(dim=1, keepdim=True)
    return (rows[len(rows) - len(scores) :] + by_class).softmax(dim=1)

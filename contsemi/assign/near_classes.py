"""Classes by the votes of the nearest stored rows, ties broken by distance."""

import torch
from torch import Tensor

BY_DISTANCE = 1e-5  # small beside one vote: it decides between classes of equal votes alone


@torch.no_grad()
def nearest_votes(
    queries: Tensor, rows: Tensor, labels: Tensor, num_classes: int, *, k: int
) -> Tensor:
    """Votes among the k nearest rows, less 1e-5 of the squared distance to each class.

    Args:
        queries: [N, D].
        rows: [M, D], M > 0; one of them at least for each class that can win.
        labels: int64 [M], classes.
        num_classes: C.
        k: rows that vote, at most M.

    Returns:
        [N, C]; -inf for a class without a row.

    Source: Boschini et al. 2022, section 3.4 (CCIC).

    >>> rows = torch.tensor([[0.0], [1.0], [3.0]])
    >>> nearest_votes(torch.tensor([[0.9]]), rows, torch.tensor([0, 1, 1]), 2, k=2).argmax(1)
    tensor([1])
    """
    distance = torch.cdist(queries, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    nearest = distance.topk(min(k, len(rows)), dim=1, largest=False).indices
    classes = torch.arange(num_classes, device=labels.device)
    votes = (labels[nearest][..., None] == classes).sum(dim=1)
    away = distance[:, :, None].masked_fill(labels[:, None] != classes, torch.inf).amin(dim=1)
    return votes - BY_DISTANCE * away

"""One unit direction a class: where the sum of its stored rows points."""

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def class_directions(rows: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The sum of the rows of each class, at unit length.

    Rows are summed as they are: a long row counts for more.

    Args:
        rows: [M, D].
        labels: int64 [M]; what is outside of [0, C) counts for no class.
        num_classes: C.

    Returns:
        [C, D], zero for a class without a row, and bool [C] whether a class has one; without
        gradient.

    Source: Sariyildiz et al. 2023, eq. 4 (t-ReX*, online class means).

    >>> rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> class_directions(rows, torch.tensor([1, 1]), 2)
    (tensor([[0.0000, 0.0000],
            [0.4472, 0.8944]]), tensor([False,  True]))
    """
    mine = labels == torch.arange(num_classes, device=labels.device)[:, None]
    return F.normalize(mine.to(rows.dtype) @ rows, dim=1), mine.any(dim=1)

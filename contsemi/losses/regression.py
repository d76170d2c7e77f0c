"""Regression: each view predicts where the target of another view lies on the sphere."""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import sum_of_others, whole_views, wide


def swapped_regression(predictions: Tensor, targets: Tensor, *, batch_size: int) -> Tensor:
    """Mean of 2 - 2 <q_v, u_t> over images and all pairs of a view v and a target view t != v.

    That is the squared distance where both are of unit length. It is linear in the target, so the
    weighted mean of several targets, not brought back to unit length, gives the weighted mean of
    their distances: BYOL's own target, mean shift's neighbours and a class are all one formula.

    Args:
        predictions: [V * B, D] of all views, view-major, those that have a target first; of any
            length.
        targets: [T * B, D] unit rows or means of unit rows; no gradient flows into them.
        batch_size: B.

    Returns:
        A scalar in [0, 4]; zero if B is 0 or if there is no pair.

    Raises:
        ValueError: the rows are not whole views, or there are more targets than views.

    Source: Grill et al. 2020, eq. 2 (BYOL); Koohpayegani et al. 2021, eq. 2 (MSF).

    >>> swapped_regression(torch.eye(2), torch.eye(2), batch_size=1)  # two views, at right angles
    tensor(2.)
    """
    if batch_size == 0:
        return wide(predictions).sum()
    views, aims = whole_views(predictions, targets, batch_size)
    pairs = aims * (views - 1)
    unit = F.normalize(wide(predictions), dim=1).view(views, batch_size, -1)
    target = wide(targets.detach()).view(aims, batch_size, -1)
    # Each view once with the sum of the targets it has.
    agreement = (sum_of_others(target) * unit[:aims]).sum()
    agreement = agreement + (target.sum(dim=0) * unit[aims:]).sum()
    return 2 * (pairs > 0) - 2 * agreement / max(pairs * batch_size, 1)


@torch.no_grad()
def class_means(rows: Tensor, labels: Tensor) -> Tensor:
    """For each row the mean of all rows of its class.

    Args:
        rows: [N, D], unit embeddings.
        labels: int64 [N].

    Returns:
        [N, D], without gradient, of length up to 1.

    >>> class_means(torch.eye(3), torch.tensor([0, 0, 1]))
    tensor([[0.5000, 0.5000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    """
    same = (labels[:, None] == labels).to(rows.dtype)
    return same / same.sum(dim=1, keepdim=True) @ rows

"""Swapped prediction: each view predicts the soft classes of the other views of its image.

One formula serves SwAV and Suave (targets from Sinkhorn) and DINO and Daino (targets from a
centred teacher).
"""

import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import sum_of_others, whole_views, wide


def swapped_cross_entropy(
    scores: Tensor, targets: Tensor, *, batch_size: int, temperature: float
) -> Tensor:
    """1 / (A (V - 1)) sum over i < A, v != i of mean_b H(target_i[b], softmax(score_v[b] / t)).

    Args:
        scores: [V * B, K] of all views, view-major, the A assigned (large) views first.
        targets: [A * B, K] probabilities of the assigned views; no gradient flows into them.
        batch_size: B.
        temperature: t, divides the scores.

    Returns:
        A scalar; zero if B is 0 or if there is one view only.

    Raises:
        ValueError: the rows are not whole views, or there are more targets than views.

    Source: Caron et al. 2020, eq. 2 (SwAV); Caron et al. 2021, eq. 3 (DINO).

    >>> scores, targets = torch.zeros(2, 3), torch.eye(2, 3)
    >>> swapped_cross_entropy(scores, targets, batch_size=1, temperature=0.1)  # log 3
    tensor(1.0986)
    """
    num_classes = scores.shape[1]
    if batch_size == 0:
        return wide(scores).sum()
    views, assigned = whole_views(scores, targets, batch_size)
    # One log-softmax for all views; each is paired once with the sum of the targets it has.
    log_probs = F.log_softmax(wide(scores) / temperature, dim=1)
    log_probs = log_probs.view(views, batch_size, num_classes)
    targets = wide(targets.detach()).view(assigned, batch_size, num_classes)
    large = (sum_of_others(targets) * log_probs[:assigned]).sum()
    small = (targets.sum(dim=0) * log_probs[assigned:]).sum()
    return -(large + small) / max(assigned * (views - 1) * batch_size, 1)

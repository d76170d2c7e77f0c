"""Cross-entropy against soft targets or labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import row_mean, wide


def cross_entropy(log_probs: Tensor, targets: Tensor) -> Tensor:
    """Mean of H(target, prediction) over rows, from log-probabilities.

    Args:
        log_probs: [N, C] predicted log-probabilities.
        targets: [N, C] probabilities; no gradient is expected through them.

    Returns:
        A scalar; zero if N is 0.

    >>> cross_entropy(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]]))  # log 2
    tensor(0.6931)
    """
    return -row_mean(wide(targets) * wide(log_probs))


def soft_cross_entropy(logits: Tensor, targets: Tensor, *, temperature: float) -> Tensor:
    """Mean of H(target, softmax(logits / temperature)) over rows.

    Args:
        logits: [N, C] scores of any size.
        targets: [N, C] probabilities.
        temperature: divides the logits.

    Returns:
        A scalar; zero if N is 0.

    >>> soft_cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]), temperature=1.0)
    tensor(0.8133)
    """
    return cross_entropy(F.log_softmax(wide(logits) / temperature, dim=1), targets)


def label_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    smoothing: float,
    weights: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of labels, (1 - smoothing) one-hot + smoothing / C.

    Args:
        logits: [N, C] scores of any size.
        labels: int64 [N], columns in [0, C).
        temperature: divides the logits.
        smoothing: share of the target spread over all C classes.
        weights: [N], for how many rows each of them stands; ``None`` for one each.

    Returns:
        A scalar; zero if N is 0.

    >>> label_cross_entropy(torch.zeros(1, 4), torch.tensor([2]), temperature=1.0, smoothing=0.1)
    tensor(1.3863)
    """
    scaled = wide(logits) / temperature
    if weights is not None:
        each = F.cross_entropy(scaled, labels, label_smoothing=smoothing, reduction="none")
        return (each * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
    total = F.cross_entropy(scaled, labels, label_smoothing=smoothing, reduction="sum")
    return total / max(len(labels), 1)


def smooth_labels(
    labels: Tensor, num_classes: int, *, smoothing: float, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Soft labels (1 - smoothing) one-hot + smoothing / C.

    Args:
        labels: int64 [N], columns in [0, num_classes).
        num_classes: C.
        smoothing: share of the target spread over all C classes.
        dtype: of the result, which is float32 at least.

    Returns:
        [N, C]; rows sum to 1.

    >>> smooth_labels(torch.tensor([1]), 4, smoothing=0.2)
    tensor([[0.0500, 0.8500, 0.0500, 0.0500]])
    """
    dtype = torch.promote_types(dtype, torch.float32)
    return F.one_hot(labels, num_classes).to(dtype) * (1 - smoothing) + smoothing / num_classes

"""PAWS: views must agree on sharpened soft-nearest-neighbour classes, used evenly in the mean."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.cross_entropy import cross_entropy
from contsemi.losses.numerics import sum_of_others, wide

NEGLIGIBLE = 1e-4  # target probabilities below this are dropped, as in the official code


def sharpen(log_probs: Tensor, *, sharpening: float) -> Tensor:
    """Log of p^(1/T) / sum p^(1/T).

    Args:
        log_probs: [N, C] log-probabilities.
        sharpening: T; below 1 sharpens.

    Returns:
        [N, C] log-probabilities.

    >>> sharpen(torch.tensor([[0.8, 0.2]]).log(), sharpening=0.5).exp()
    tensor([[0.9412, 0.0588]])
    """
    return F.log_softmax(wide(log_probs) / sharpening, dim=1)


def sharpened_targets(
    log_probs: Tensor, *, batch_size: int, small_views: int, sharpening: float
) -> Tensor:
    """What each anchor is to predict: the sharpened classes of the other large views.

    With two large views each is the target of the other, and small views get the mean of both
    (which is not sharpened again).

    Args:
        log_probs: [V * B, C] of the V >= 2 large views, view-major.
        batch_size: B.
        small_views: small views of each image among the anchors.
        sharpening: T of :func:`sharpen`.

    Returns:
        [(V + small_views) * B, C] targets in the order of the views, without gradient. Entries
        below 1e-4 are zero, so rows may sum to a little less than 1.

    Source: Assran et al. 2021, section 3 (PAWS).

    >>> views = torch.tensor([[0.8, 0.2], [0.5, 0.5]]).log()
    >>> sharpened_targets(views, batch_size=1, small_views=0, sharpening=0.5)
    tensor([[0.5000, 0.5000],
            [0.9412, 0.0588]])
    """
    probs = sharpen(log_probs.detach(), sharpening=sharpening).exp()
    probs = probs.view(-1, batch_size, log_probs.shape[1])
    views = len(probs)
    large = (sum_of_others(probs) / (views - 1)).flatten(0, 1)
    small = probs.mean(dim=0).repeat(small_views, 1)
    targets = torch.cat([large, small])
    return targets.masked_fill(targets < NEGLIGIBLE, 0.0)


def consistency(
    log_probs: Tensor, target_log_probs: Tensor, *, batch_size: int, sharpening: float
) -> Tensor:
    """Mean cross-entropy of all views and the sharpened classes of the other large views.

    Args:
        log_probs: [(V + m) * B, C] of the anchors, the V large views first, view-major.
        target_log_probs: [V * B, C] of the large views, not yet sharpened; no gradient.
        batch_size: B > 0.
        sharpening: T of :func:`sharpen`.

    Returns:
        A scalar.

    Source: Assran et al. 2021 (PAWS).

    >>> views = torch.tensor([[0.8, 0.2], [0.5, 0.5]]).log()
    >>> consistency(views, views, batch_size=1, sharpening=0.5)
    tensor(0.8047)
    """
    small_rows = len(log_probs) - len(target_log_probs)
    targets = sharpened_targets(
        target_log_probs,
        batch_size=batch_size,
        small_views=small_rows // batch_size,
        sharpening=sharpening,
    )
    return cross_entropy(log_probs, targets)


def mean_entropy_maximisation(
    log_probs: Tensor, *, sharpening: float, prior: Tensor | None = None
) -> Tensor:
    """Minus the entropy of the mean sharpened prediction: least where classes are used evenly.

    Args:
        log_probs: [N, C] log-probabilities of all anchors, not yet sharpened; N > 0.
        sharpening: T of :func:`sharpen`.
        prior: [C] > 0, shares in which the classes are to be used instead: the divergence of the
            mean from it, less log C, so that an even prior is none.

    Returns:
        A scalar; in [-log C, 0] without a prior.

    Source: Assran et al. 2021, eq. 3, "me-max" (PAWS).

    >>> mean_entropy_maximisation(torch.tensor([[0.5, 0.5]]).log(), sharpening=0.25)  # -log 2
    tensor(-0.6931)
    """
    sharp = sharpen(log_probs, sharpening=sharpening)
    log_mean = sharp.logsumexp(dim=0) - math.log(len(sharp))
    wanted = 0.0 if prior is None else (prior.to(log_mean) * len(log_mean)).log()
    return (log_mean.exp() * (log_mean - wanted)).sum()

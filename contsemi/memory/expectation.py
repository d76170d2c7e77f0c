"""Soft classes of unlabelled images by expectation and maximisation over class Gaussians.

Good features that nobody trains any more make each class a cloud; where a few images have labels,
the others find theirs. That is worth most when labels are few: a mean of four images is poor, one
of four hundred soft ones is not.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.memory.moments import Moments


@torch.no_grad()
def expected_classes(
    features: Tensor,
    labelled: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    rounds: int,
    balance: int,
    shrinkage: float | Literal["auto"],
) -> Tensor:
    """Soft classes [n, C] of a task's unlabelled images; rows sum to 1, or are 0 without a round.

    Each round classifies all images by the moments of the round before (equal priors, one
    covariance), brings the columns of the soft classes to equal shares, and takes new moments.

    Args:
        features: [n, F] of images without a label, of this task's classes; n may be 0.
        labelled: [L, F] of the labelled images; where L is 0 the others count for no class.
        labels: int64 [L], their classes in [0, C).
        num_classes: C.
        rounds: of both steps; 0 gives no image a class.
        balance: passes of Sinkhorn and Knopp in a round; 0 leaves the classes as they come.
        shrinkage: share of a round covariance, see :meth:`~.moments.Moments.scores`.

    Source: expectation maximisation of a Gaussian mixture with tied covariance; balanced as in
        Hu, Gripon and Pateux 2021 (PT-MAP).
    """
    given = functional.one_hot(labels, num_classes).to(labelled.dtype)
    none = Moments.none(labelled.shape[1], labelled.device)
    moments = none.joined(labelled, given)
    probs = features.new_zeros(len(features), num_classes)
    prior = torch.full((num_classes,), 1 / num_classes, device=features.device)
    for _ in range(rounds if len(labels) else 0):
        scores = moments.scores(features, shrinkage=shrinkage)
        probs = balanced(scores, prior, passes=balance)
        moments = none.joined(torch.cat([features, labelled]), torch.cat([probs, given]))
    return probs


def balanced(scores: Tensor, prior: Tensor, *, passes: int) -> Tensor:
    """Soft classes [n, C] of log-likelihoods [n, C], whose columns are brought to a prior.

    Args:
        scores: [n, C]; minus infinity for classes that nothing is known of.
        prior: [C], positive, sums to 1.
        passes: scalings of columns and rows, in this order; rows sum to 1 at the end.
    """
    logs = scores.log_softmax(1)
    aims = (prior * len(scores)).log()
    for _ in range(passes):
        logs = logs + (aims - logs.logsumexp(0)).nan_to_num(neginf=0.0, posinf=0.0)
        logs = logs.log_softmax(1)
    return logs.exp()

"""How sure a pseudo-label has to be: a threshold of each class, or a weight without a cut."""

import torch
from torch import Tensor


@torch.no_grad()
def flexible_thresholds(
    counts: Tensor, unused: Tensor | int, *, threshold: float, warmup: bool = True
) -> Tensor:
    """A lower threshold for classes that are learned more slowly.

    With b the share of a class in the most frequent one, its threshold is t b / (2 - b).

    Args:
        counts: [C], images that were last surely predicted as each class.
        unused: images never surely predicted.
        threshold: t, of the class learned best.
        warmup: whether the ``unused`` count as one more class at the comparison, so that all
            thresholds start low.

    Returns:
        [C]; zero for a class without an image.

    Source: Zhang et al. 2021, eq. 5, 6, 11 and 12 (FlexMatch).

    >>> flexible_thresholds(torch.tensor([4, 2, 0]), 0, threshold=0.9)
    tensor([0.9000, 0.3000, 0.0000])
    """
    most = counts.amax()
    if warmup:
        most = torch.maximum(most, torch.as_tensor(unused, device=counts.device))
    share = counts / most.clamp(min=1)
    return threshold * share / (2 - share)


@torch.no_grad()
def adaptive_thresholds(overall: Tensor, probs: Tensor) -> Tensor:
    """The mean confidence, scaled by how much each class is predicted.

    Args:
        overall: scalar, running mean of the confidences.
        probs: [C], running mean of the predictions.

    Returns:
        [C].

    Source: Wang et al. 2023, eq. 5 to 7 (FreeMatch).

    >>> adaptive_thresholds(torch.tensor(0.8), torch.tensor([0.5, 0.25, 0.25]))
    tensor([0.8000, 0.4000, 0.4000])
    """
    return overall * probs / probs.amax()


@torch.no_grad()
def gaussian_weights(
    confidence: Tensor, *, mean: Tensor, variance: Tensor, sigmas: float = 2.0
) -> Tensor:
    """exp(-min(p - mean, 0)^2 sigmas^2 / (2 variance)): 1 above the mean, a half bell below.

    Args:
        confidence: [N], p.
        mean: scalar, running mean of the confidences.
        variance: scalar, their running variance.
        sigmas: how steep the bell is.

    Returns:
        [N] in (0, 1].

    Source: Chen et al. 2023, eq. 7 to 9 (SoftMatch).

    >>> half = torch.tensor(0.5)
    >>> gaussian_weights(torch.tensor([0.9, 0.5, 0.0]), mean=half, variance=half**2, sigmas=1.0)
    tensor([1.0000, 1.0000, 0.6065])
    """
    below = (confidence - mean).clamp(max=0)
    return torch.exp(-(below.square()) * sigmas**2 / (2 * variance))

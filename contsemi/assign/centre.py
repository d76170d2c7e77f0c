"""Soft classes of a teacher whose running mean score is taken off, so that no class wins all."""

import torch
from torch import Tensor


@torch.no_grad()
def centred_softmax(
    scores: Tensor,
    centre: Tensor,
    *,
    temperature: float,
    momentum: float,
    prior: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """softmax((scores - centre) / temperature), and the centre for the next step.

    To take the mean off makes all classes alike before an image is looked at; with a prior each
    begins with its share in place of that.

    Args:
        scores: [N, K] raw scores of the teacher on the large views; N > 0.
        centre: [K], zero at the start.
        temperature: of the teacher, below the student's.
        momentum: the new centre is momentum * centre + (1 - momentum) * mean score.
        prior: [K] > 0, shares that multiply the probabilities before they are normed.

    Returns:
        [N, K] probabilities made with the old centre, and the new centre [K]; without gradient.

    Source: Caron et al. 2021, eq. 4 (DINO).

    >>> centred_softmax(torch.tensor([[1.0, 0.0]]), torch.zeros(2), temperature=1.0, momentum=0.9)
    (tensor([[0.7311, 0.2689]]), tensor([0.1000, 0.0000]))
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    centre = centre.to(scores.dtype)
    logits = (scores - centre) / temperature
    if prior is not None:
        logits = logits + prior.to(logits).log()
    return logits.softmax(dim=1), centre.lerp(scores.mean(dim=0), 1 - momentum)


def linear(step: int, *, steps: int, start: float, end: float) -> float:
    """A straight line from ``start`` at step 0 to ``end`` at ``steps - 1`` and later.

    For the temperature of DINO's teacher, where a step is an epoch.

    >>> [linear(step, steps=3, start=0.04, end=0.08) for step in range(4)]
    [0.04, 0.06, 0.08, 0.08]
    """
    return start + (end - start) * min(step / max(steps - 1, 1), 1.0) if steps > 0 else end

"""The class that a network is sure of."""

import torch
from torch import Tensor

Sure = tuple[Tensor, Tensor, Tensor]  # classes int64 [N], confidences [N], whether sure bool [N]


@torch.no_grad()
def sure_class(logits: Tensor, *, threshold: float | Tensor, temperature: float = 1.0) -> Sure:
    """The most probable class, how probable it is, and whether that is enough.

    Args:
        logits: [N, C], C > 0.
        threshold: least probability that counts, inclusive: one number, or [C], one a class.
        temperature: divides the logits.

    Returns:
        Classes int64 [N] (of equal ones the first), their probabilities [N], and bool [N] where
        the class reaches its threshold.

    Source: Sohn et al. 2020, eq. 4 (FixMatch).

    >>> sure_class(torch.tensor([[4.0, 0.0], [0.0, 0.1]]), threshold=0.95)
    (tensor([0, 1]), tensor([0.9820, 0.5250]), tensor([ True, False]))
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probs = (logits / temperature).softmax(dim=1)
    confidence, _ = probs.max(dim=1)
    classes = probs.argmax(dim=1)
    least = threshold[classes] if isinstance(threshold, Tensor) else threshold
    return classes, confidence, confidence >= least

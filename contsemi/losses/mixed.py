"""What mixed images are to be: the mixture of what they are mixed of."""

import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide


def mixed_losses(
    logits: Tensor,
    own: Tensor,
    *,
    partners: Tensor,
    share: float | Tensor,
    labelled: Tensor,
    known: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of rows whose own target is a label, squared difference of the others.

    Args:
        logits: [N, C] of the mixed images.
        own: [N, C] targets of the images by themselves; no gradient flows into them.
        partners: int64 [N], the row that each is mixed with.
        share: of the image itself, one number or [N].
        labelled: bool [N], whether the image itself has a label.
        known: bool [N], whether ``own`` says anything of the image; rows mixed with one of which
            nothing is known are left out. ``None`` for all.

    Returns:
        The mean cross-entropy over labelled rows, and the mean of (softmax(logits) - target)^2 over
        the other rows and the classes; each zero without such rows.

    Source: Berthelot et al. 2019, eq. 3 and 4 (MixMatch).

    >>> kinds, swap = torch.tensor([True, False]), torch.tensor([1, 0])
    >>> mixed_losses(torch.zeros(2, 2), torch.eye(2), partners=swap, share=0.5, labelled=kinds)
    (tensor(0.6931), tensor(0.))
    """
    logits, own = wide(logits), wide(own.detach())
    if not isinstance(share, float | int):
        share = share.to(own.dtype).view(-1, 1)
    target = share * own + (1 - share) * own[partners]
    says, guesses = labelled, ~labelled
    if known is not None:
        both = known & known[partners]
        says, guesses = says & both, guesses & both
    entropy = F.cross_entropy(logits, target, reduction="none")
    apart = (logits.softmax(dim=1) - target).square().mean(dim=1)
    return _mean(entropy, says), _mean(apart, guesses)


def _mean(rows: Tensor, counts: Tensor) -> Tensor:
    weights = counts.to(rows.dtype)
    return (rows * weights).sum() / weights.sum().clamp(min=1)

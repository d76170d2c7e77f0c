"""Contrast of rows with the frozen network's rows of the same images, in both directions."""

import torch
from torch import Tensor

from contsemi.losses.contrast import contrast, cosines


def mutual_contrast(predictions: Tensor, frozen: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE of each row among all frozen rows, and of each frozen row among all rows.

    As in the official code, the other view of the same image is one that is to be told apart.

    Args:
        predictions: [N, D].
        frozen: [N, D], row i that of the same view as prediction i; no gradient flows into them.
        temperature: divides the cosines.

    Returns:
        A scalar, the mean of both directions; zero if N is 0.

    Source: Fini et al. 2022, eq. 7 (CaSSLe, contrastive).

    >>> rows = torch.eye(2)
    >>> mutual_contrast(rows, rows, temperature=1.0)
    tensor(0.3133)
    """
    scores = cosines(predictions, frozen.detach())
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    there, back = (contrast(x, own, temperature=temperature) for x in (scores, scores.T))
    return (there + back) / 2

"""PromptCAL's contrasts: of views, of labelled rows, and with stored rows of the same kind.

Source: Zhang et al. 2023, "PromptCAL", eq. 2, 6 and 9; Vaze et al. 2022, eq. 1 and 2 (the first
two).
"""

import torch
from torch import Tensor

from contsemi.losses.contrast import contrast, cosines
from contsemi.losses.numerics import wide


def swapped_views(rows: Tensor) -> Tensor:
    """The other view of each image: [2 B, ...] view-major, the halves exchanged.

    >>> swapped_views(torch.tensor([1, 2, 3, 4]))
    tensor([3, 4, 1, 2])
    """
    return rows.roll(len(rows) // 2, dims=0)


def views_contrast(rows: Tensor, others: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE: the other view of an image among the rows of all others.

    Args:
        rows: [2 B, D] view-major, not normalised.
        others: [2 B, D] in the same order: the rows themselves, or the teacher's. Gradient flows
            into both; detach what is to stand still.
        temperature: divides the cosines.

    Returns:
        A scalar. The entry of the same view of the same image does not count.

    >>> views_contrast(torch.eye(2), torch.eye(2), temperature=1.0)
    tensor(0.)
    """
    own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return contrast(cosines(rows, others), swapped_views(own), temperature=temperature, allow=~own)


def label_contrast(rows: Tensor, others: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """SupCon among the labelled rows of both views: those of the same class, the own view too.

    Args:
        rows: [2 B, D] view-major, not normalised.
        others: [2 B, D], as in :func:`views_contrast`.
        labels: int64 [B]; -1 is no label.
        temperature: divides the cosines.

    Returns:
        A scalar, the mean over labelled rows; zero if there is none.

    >>> label_contrast(torch.eye(2), torch.eye(2), torch.tensor([-1]), temperature=0.1)
    tensor(0.)
    """
    classes = labels.repeat(2)
    own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    allow = ~own & (classes >= 0)
    related = allow & (classes[:, None] == classes)
    return contrast(cosines(rows, others), related, temperature=temperature, allow=allow)


def affinity_contrast(
    rows: Tensor,
    first: Tensor,
    stored: Tensor,
    positives: Tensor,
    negatives: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """Contrastive affinity learning: the teacher's row and stored rows of the kind, against others.

    Args:
        rows: [N, D] student embeddings, not normalised.
        first: [N, D] the teacher's for each, the first positive; no gradient flows into it.
        stored: [M, D] rows of the bank, without gradient.
        positives: bool [N, M].
        negatives: bool [N, M], what they are compared with besides the positives.
        temperature: divides the cosines.

    Returns:
        A scalar: the mean over positives, then over rows.

    >>> affinity_contrast(torch.eye(2), torch.eye(2), torch.eye(2), torch.eye(2) > 2,
    ...                   torch.eye(2) > 2, temperature=1.0)
    tensor(0.)
    """
    own = torch.nn.functional.cosine_similarity(wide(rows), wide(first.detach()), dim=1)
    scores = torch.cat([own[:, None], cosines(rows, stored.detach())], dim=1)
    yes = torch.ones_like(own, dtype=torch.bool)[:, None]
    weights = torch.cat([yes, positives], dim=1)
    allow = torch.cat([yes, positives | negatives], dim=1)
    return contrast(scores, weights, temperature=temperature, allow=allow)

"""How well old classes are still found among rows that a map carried."""

import torch
from torch import Tensor


def still_found(
    rows: Tensor, labels: Tensor, queries: Tensor, classes: Tensor, *, k: int = 10
) -> float:
    """The share of queries whose class has most of the weight among their nearest rows.

    Args:
        rows: [M, D] unit rows of old classes, as they are stored now.
        labels: [M, C] their soft labels.
        queries: [N, D] unit embeddings of other images of old classes, by the present network.
        classes: int64 [N], their true columns.
        k: rows that vote, each by its cosine to the tenth power.
    """
    cosines, nearest = (queries.float() @ rows.float().T).topk(min(k, len(rows)), dim=1)
    weight = cosines.clamp_min(1e-6).pow(10)
    votes = torch.einsum("nk,nkc->nc", weight, labels.float()[nearest])
    return (votes.argmax(1) == classes).float().mean().item()

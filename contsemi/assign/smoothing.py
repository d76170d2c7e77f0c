"""Soft classes made smoother by stored rows: what near rows are, an image tends to be, too."""

import torch
from torch import Tensor


@torch.no_grad()
def comatch(
    probs: Tensor, rows: Tensor, bank: Tensor, classes: Tensor, *, temperature: float, share: float
) -> Tensor:
    """(1 - s) p + s softmax(z bank^T / t) P: a share of what the rows of a memory are.

    Args:
        probs: p [N, C].
        rows: z [N, D], unit embeddings of the same images.
        bank: [M, D], unit embeddings, M > 0.
        classes: P [M, C], soft classes of the bank's rows.
        temperature: t.
        share: s in [0, 1].

    Returns:
        [N, C], without gradient.

    Source: Li, Xiong and Hoi 2021 (CoMatch), eq. 4, whose 1 - s is 0.9.

    >>> probs, rows = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
    >>> comatch(probs, rows, torch.eye(2), torch.eye(2), temperature=1.0, share=0.5)
    tensor([[0.6155, 0.3845]])
    """
    near = (rows @ bank.to(rows).T / temperature).softmax(1)
    return (1 - share) * probs + share * (near.to(probs) @ classes.to(probs))


@torch.no_grad()
def simmatch(
    probs: Tensor, rows: Tensor, bank: Tensor, labels: Tensor, *, temperature: float, share: float
) -> Tensor:
    """(1 - s) p + s u: a share of what labelled rows are, u_c the similarities to those of class c.

    The similarities are softmax(z bank^T / t) over all labelled rows.

    Args:
        probs: p [N, C].
        rows: z [N, D], unit embeddings of the same images.
        bank: [M, D], unit embeddings of labelled images, M > 0.
        labels: int64 [M], their classes among the C.
        temperature: t.
        share: s in [0, 1].

    Returns:
        [N, C], without gradient.

    Source: Zheng et al. 2022 (SimMatch), aggregation of the semantic labels, 1 - s there 0.9.

    >>> probs, rows = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
    >>> simmatch(probs, rows, torch.eye(2), torch.tensor([0, 1]), temperature=1.0, share=0.5)
    tensor([[0.6155, 0.3845]])
    """
    near = (rows @ bank.to(rows).T / temperature).softmax(1).to(probs)
    summed = torch.zeros_like(probs).index_add(1, labels, near)
    return (1 - share) * probs + share * summed


@torch.no_grad()
def nearest_mean(
    probs: Tensor, rows: Tensor, means: Tensor, *, threshold: float, temperature: float
) -> Tensor:
    """Images whose class is not sure get that of the nearest class mean.

    Args:
        probs: p [N, C].
        rows: z [N, D], unit embeddings of the same images.
        means: [C, D], unit means of the classes; NaN for a class without one.
        threshold: an image of at least this probability is sure, and keeps p.
        temperature: of the cosines with the means.

    Returns:
        [N, C], without gradient; p where no class has a mean.

    Source: Duan et al. 2025 (USP), divide-and-conquer pseudo-labels; there both are hard labels.

    >>> probs, rows = torch.tensor([[0.9, 0.1], [0.5, 0.5]]), torch.eye(2)
    >>> nearest_mean(probs, rows, torch.eye(2), threshold=0.8, temperature=1.0)
    tensor([[0.9000, 0.1000],
            [0.2689, 0.7311]])
    """
    known = ~means.isnan().any(1)
    cosines = rows @ means.nan_to_num().to(rows).T / temperature
    by_means = cosines.masked_fill(~known, -torch.inf).softmax(1).to(probs)
    unsure = (probs.max(1).values < threshold) & known.any()
    return torch.where(unsure[:, None], by_means.nan_to_num(), probs)

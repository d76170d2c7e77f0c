"""Contrast in which probable false negatives are drawn to the query, or left out."""

from torch import Tensor

from contsemi.losses.contrast import contrast


def attraction(
    scores: Tensor, positives: Tensor, false: Tensor, itself: Tensor, *, temperature: float
) -> Tensor:
    """Contrast whose positives are the image's other views and its false negatives.

    Args:
        scores: [N, M] cosines of views and candidates.
        positives: bool [N, M], other views of the same image.
        false: bool [N, M], candidates that are taken for the same kind.
        itself: bool [N, M], the very view, which is not compared.
        temperature: divides the scores.

    Returns:
        A scalar, the mean over the views. With no false negative it is NT-Xent.

    Source: Huynh et al. 2022, eq. 4 (FNC), whose code counts an image, not a view: twice as much.

    >>> import torch
    >>> one, none = torch.eye(3, dtype=torch.bool)[:1], torch.zeros(1, 3, dtype=torch.bool)
    >>> attraction(torch.tensor([[1.0, 0.0, 0.0]]), one, none, none, temperature=1.0)
    tensor(0.5514)
    """
    return contrast(scores, positives | false, temperature=temperature, allow=~itself)


def elimination(
    scores: Tensor, positives: Tensor, false: Tensor, itself: Tensor, *, temperature: float
) -> Tensor:
    """Contrast that leaves false negatives out of the comparison; see :func:`attraction`.

    Returns:
        A scalar, the mean over the views; at most that of plain contrast.

    Source: Huynh et al. 2022, eq. 3 (FNC); Chen et al. 2022, eq. 4 (IFND).

    >>> import torch
    >>> one, rest = torch.eye(3, dtype=torch.bool)[:1], torch.tensor([[False, True, True]])
    >>> elimination(torch.tensor([[1.0, 0.0, 0.0]]), one, rest, rest, temperature=1.0).abs()
    tensor(0.)
    """
    return contrast(
        scores, positives, temperature=temperature, allow=~itself & (positives | ~false)
    )

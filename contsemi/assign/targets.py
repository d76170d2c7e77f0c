"""Targets of images by themselves, before they are mixed: labels, and guesses of the others."""

import torch
from torch import Tensor

from contsemi.assign.sharpen import guessed


@torch.no_grad()
def label_rows(labels: Tensor, like: Tensor) -> Tensor:
    """One-hot rows, zero for a label of -1.

    Args:
        labels: int64 [N].
        like: [M, C], whose classes and precision (float32 at least) the rows have.

    Returns:
        [N, C].

    >>> label_rows(torch.tensor([1, -1]), torch.zeros(0, 2))
    tensor([[0., 1.],
            [0., 0.]])
    """
    classes = torch.arange(like.shape[1], device=labels.device)
    return (labels[:, None] == classes).to(torch.promote_types(like.dtype, torch.float32))


@torch.no_grad()
def guess_rows(
    logits: Tensor, columns: Tensor | None = None, *, views: int, temperature: float
) -> Tensor:
    """The sharpened mean guess of the views of each image, once for each of its views.

    Args:
        logits: [V * B, C], view-major.
        columns: int64 [K], the classes that an image may be of; ``None`` for all. The others have
            probability 0.
        views: V.
        temperature: of the sharpening.

    Returns:
        [V * B, C], without gradient.

    >>> guess_rows(torch.zeros(2, 3), torch.tensor([1, 2]), views=2, temperature=0.5)
    tensor([[0.0000, 0.5000, 0.5000],
            [0.0000, 0.5000, 0.5000]])
    """
    batch_size = len(logits) // views
    if columns is None:
        guess = guessed(logits, batch_size=batch_size, temperature=temperature)
    else:
        some = guessed(logits[:, columns], batch_size=batch_size, temperature=temperature)
        guess = some.new_zeros(batch_size, logits.shape[1]).index_copy_(1, columns, some)
    return guess.repeat(views, 1)


@torch.no_grad()
def across_images(logits: Tensor, views: int, temperature: float) -> Tensor:
    """What CCIC's released code takes for guesses: copies of different images averaged.

    It lays the copies out by image, and averages as if they were by copy. The power of the mean is
    of logits, not of probabilities.

    Args:
        logits: [V * B, C], view-major.
        views: V.
        temperature: T of the power ``1 / T``.

    Returns:
        [V * B, C], without gradient; rows sum to 1.

    >>> across_images(torch.tensor([[1.0, 3.0], [2.0, 2.0]]), 2, 1.0)
    tensor([[0.3750, 0.6250],
            [0.3750, 0.6250]])
    """
    by_image = logits.view(views, -1, logits.shape[1]).transpose(0, 1)
    mean = by_image.reshape(views, -1, logits.shape[1]).mean(dim=0)
    power = mean ** (1 / temperature)
    return (power / power.sum(dim=1, keepdim=True)).repeat(views, 1)

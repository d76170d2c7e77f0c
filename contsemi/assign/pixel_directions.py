"""Images themselves as points: what they can be compared by while nothing is learned."""

import torch
from torch import Tensor
from torch.nn import functional

LARGEST_SIDE = 16  # pixels; larger images are averaged down, as details tell little of distances


def pixel_directions(images: Tensor, number: int = 64) -> Tensor:
    """Images in the space of the principal components of their pixels.

    Args:
        images: uint8 [N, 3, S, S].
        number: of components, at most.

    Returns:
        float32 [N, D], D at most ``number``; their mean is 0.

    >>> black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    >>> pixel_directions(black_and_white.expand(2, 3, 1, 1)).shape
    torch.Size([2, 3])
    """
    parts = [_small(part).flatten(1) for part in torch.split(images, 4096)]
    rows = torch.cat(parts).double()
    rows = rows - rows.mean(dim=0)
    directions = torch.linalg.eigh(rows.T @ rows).eigenvectors.flip(1)[:, :number]
    found: Tensor = (rows @ directions).float()
    return found


def _small(images: Tensor) -> Tensor:
    pixels = images[:, :3].float() / 255  # without masks
    if images.shape[-1] <= LARGEST_SIDE:
        return pixels
    return functional.adaptive_avg_pool2d(pixels, LARGEST_SIDE)

"""Other images of a batch, drawn for each of its images."""

import torch
from torch import Tensor


def others_of_each(size: int, number: int, draw: torch.Generator) -> Tensor:
    """Places of other images for each of N, drawn without repetition.

    Args:
        size: N.
        number: K; where there are fewer others, all of them.
        draw: source of random numbers; its device is that of the places.

    Returns:
        int64 [N, min(K, N - 1)].
    """
    lots = torch.rand(size, size, generator=draw, device=draw.device)
    lots.fill_diagonal_(2.0)  # never drawn: all others are below 1
    return lots.topk(min(number, max(size - 1, 0)), dim=1, largest=False).indices

"""Rows of one shared image array, as the datasets and batches that Avalanche handles.

Inside contsemi an image is uint8; towards Avalanche it is float32 in [0, 1], which every model of
the user's accepts. The way there and back is exact.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset


def as_float(images: Tensor) -> Tensor:
    """Uint8 images as float32 in [0, 1]."""
    return images.float() / 255


def as_uint8(images: Tensor) -> Tensor:
    """Images of an Avalanche batch as contsemi has them.

    Args:
        images: uint8, or floating in [0, 1]; [N, 1 or 3, H, W].

    Returns:
        uint8 [N, 3, H, W], grey images repeated over the channels.
    """
    if images.dtype != torch.uint8:
        images = (images.float() * 255).round().clamp(0, 255).to(torch.uint8)
    return images.expand(-1, 3, -1, -1)


class Rows(Dataset[tuple[object, ...]]):
    """Rows of an image array, with their class ids or without any.

    Args:
        images: uint8 [N, 3, S, S], shared, never copied.
        indices: int64 [n], the rows.
        targets: int64 [n], class ids of these rows; ``None`` for images without labels.
    """

    def __init__(self, images: Tensor, indices: Tensor, targets: Tensor | None = None) -> None:
        self.images, self.indices, self.targets = images, indices, targets

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> tuple[object, ...]:
        image = as_float(self.images[self.indices[i]])
        return (image,) if self.targets is None else (image, int(self.targets[i]))


class RowLoader:
    """Batches ``[x, y, t]`` of labelled rows, each gathered at once.

    Args:
        rows: rows with class ids.
        tasks: int64 [n], Avalanche's task labels of the rows.
        batch_size: images of a batch.
    """

    def __init__(self, rows: Rows, tasks: Tensor, batch_size: int) -> None:
        self.rows, self.tasks, self.batch_size = rows, tasks, batch_size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        rows = self.rows
        if rows.targets is None:
            raise TypeError("rows without class ids cannot be evaluated")
        for start in range(0, len(rows), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield [as_float(rows.images[rows.indices[part]]), rows.targets[part], self.tasks[part]]

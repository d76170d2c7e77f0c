"""Batches of row numbers out of Avalanche's datasets, drawn as the learner draws its own.

An Avalanche dataset is read item by item through five layers, about 7 µs each; here once a task.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor

from contsemi.data.sampler import LabelledPool


class Source:
    """Equally sized batches of one dataset, whatever its size; a small one is repeated evenly.

    Args:
        dataset: its items are row number, column, task label and more, all of numbers.
        size: rows of a batch.
        seed: of the draws.
        task: index of the experience.
    """

    def __init__(self, dataset: Any, size: int, *, seed: int, task: int) -> None:
        items = [dataset[i] for i in range(len(dataset))]
        self.fields = [
            torch.stack([torch.as_tensor(value) for value in values])
            for values in zip(*items, strict=True)
        ]
        self.pool = LabelledPool(self.fields[1], seed=seed, task=task)
        self.size = size

    def draw(self, epoch: int, step: int) -> list[Tensor]:
        """Every field [size, ...] of the rows of one step."""
        rows = self.pool.uniform(self.size, epoch, step)
        return [values[rows] for values in self.fields]


class Batches:
    """A loader that gives the same number of batches in every epoch.

    Args:
        sources: each gives its part of a batch, in this order.
        steps: batches of an epoch.
    """

    def __init__(self, sources: Sequence[Source], steps: int) -> None:
        self.sources, self.steps, self.epoch = sources, steps, 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        for step in range(self.steps):
            parts = [source.draw(epoch, step) for source in self.sources]
            yield [torch.cat(values) for values in zip(*parts, strict=True)]


def endless(source: Source) -> Iterator[list[Tensor]]:
    """One batch after another, for strategies that ask for the memory by themselves."""
    return (source.draw(0, step) for step in count())

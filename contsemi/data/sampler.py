"""Which rows go into a step. Pure functions of counters: resuming a run needs nothing else.

Everything is on the CPU, where indexing an index costs microseconds and no device waits.
"""

from functools import lru_cache

import torch
from torch import Tensor

from contsemi.seeding import generator

# Larger pools are not sorted for each step, and draw other rows than if they were.
_SORTED_UP_TO = 65_536


def steps_per_epoch(num_rows: int, batch_size: int) -> int:
    """Steps of one pass: the last, smaller batch is dropped unless it is the only one."""
    return max(num_rows // batch_size, min(num_rows, 1))


def unlabelled_places(
    size: int, batch_size: int, epoch: int, step: int, *, seed: int, task: int
) -> Tensor:
    """Places in the pool of the images of one step; each comes at most once in an epoch.

    Args:
        size: images of the pool.
        batch_size: rows of a step; a smaller pool is taken whole.
        epoch: pass over the pool, from 0.
        step: step of the epoch, from 0.
        seed: the run's seed.
        task: index of the experience.

    Returns:
        int64 [min(batch_size, size)].

    Raises:
        IndexError: the epoch has no such step.
    """
    if not 0 <= step < (steps := steps_per_epoch(size, batch_size)):
        raise IndexError(f"step {step} of an epoch of {steps} steps")
    order = _permutation(size, seed, "unlabelled", task, epoch)
    return order[step * batch_size : (step + 1) * batch_size]


@lru_cache(maxsize=64)
class LabelledPool:
    """The labelled rows that a task may draw from: its own and the exemplars of earlier ones.

    Args:
        labels: int64 [n], columns.
        seed: the run's seed.
        task: index of the experience.
        kind: names the draws.
    """

    def __init__(self, labels: Tensor, *, seed: int, task: int, kind: str = "labelled") -> None:
        self.labels = labels
        self._seed, self._task, self._kind = seed, task, kind
        self._by_class = labels.argsort(stable=True)
        self._sorted_labels = 2.0 * labels[self._by_class].double()  # keys in [2c, 2c + 1)
        num_columns = int(labels.max()) + 1 if len(labels) else 0
        self._counts = torch.bincount(labels, minlength=num_columns)
        self._starts = self._counts.cumsum(0) - self._counts

    def __len__(self) -> int:
        return len(self.labels)

    def uniform(self, batch_size: int, epoch: int, step: int) -> Tensor:
        """Positions in the pool, drawn without regard to class.

        Within a cycle of ``n // batch_size`` steps no row comes twice; a pool smaller than a batch
        is repeated as evenly as possible.

        Returns:
            int64 [batch_size], or [0] from an empty pool.
        """
        size = len(self)
        if size == 0:
            return torch.zeros(0, dtype=torch.int64)
        if batch_size >= size:
            passes = torch.rand(-(-batch_size // size), size, generator=self._random(epoch, step))
            return passes.argsort(1).flatten()[:batch_size]
        cycle, place = divmod(step, size // batch_size)
        order = _permutation(size, self._seed, self._kind, self._task, epoch, cycle)
        return order[place * batch_size : (place + 1) * batch_size].clone()

    def stratified(self, per_class: int, columns: Tensor, epoch: int, step: int) -> Tensor:
        """Positions in the pool, ``per_class`` of each class, arranged a, b, c, a, b, c, ...

        A class that has enough rows gives distinct ones; one that has fewer repeats them as evenly
        as possible; one that has none is left out.

        Args:
            per_class: rows of each class.
            columns: int64 [C], the classes, in the wanted order.
            epoch: pass over the unlabelled pool, from 0.
            step: step of the epoch, from 0.

        Returns:
            int64 [per_class * C'], C' being the number of ``columns`` that have rows.
        """
        columns = self.with_rows(columns)
        if len(self) > _SORTED_UP_TO:
            return self._drawn(per_class, columns, self._random(epoch, step))
        keys = torch.rand(len(self), generator=self._random(epoch, step), dtype=torch.float64)
        shuffled = self._by_class[(self._sorted_labels + keys).argsort()]
        slots = torch.arange(per_class)[:, None] % self._counts[columns]
        return shuffled[(self._starts[columns] + slots).flatten()]

    def _drawn(self, per_class: int, columns: Tensor, draw: torch.Generator) -> Tensor:
        """:meth:`stratified` without a sort: the work is that of the rows drawn, not of the pool.

        Source: Bentley and Floyd 1987, a sample without replacement; all classes at once.
        """
        counts = self._counts[columns]
        distinct = counts.clamp(max=per_class)
        numbers = torch.rand(per_class, len(columns), generator=draw, dtype=torch.float64)
        chosen = torch.full((per_class, len(columns)), -1)
        for slot in range(per_class):
            last = counts - distinct + slot  # the rows up to it may be chosen now
            found = (numbers[slot] * (last + 1)).long()
            known = (chosen[:slot] == found).any(0)
            chosen[slot] = torch.where(slot < distinct, torch.where(known, last, found), -1)
        # which of them comes when is drawn, too, as some repeat
        order = torch.rand(per_class, len(columns), generator=draw)
        order[chosen < 0] = torch.inf
        chosen = chosen.gather(0, order.argsort(0))
        slots = torch.arange(per_class)[:, None] % distinct
        return self._by_class[(self._starts[columns] + chosen.gather(0, slots)).flatten()]

    def columns_drawn(self, per_class: int, columns: Tensor) -> Tensor:
        """The columns int64 [per_class * C'] of the rows that :meth:`stratified` always gives."""
        return self.with_rows(columns).repeat(per_class)

    def with_rows(self, columns: Tensor) -> Tensor:
        """Those of some columns int64 [C] that have rows, in their order."""
        columns = columns[columns < len(self._counts)]
        return columns[self._counts[columns] > 0]

    def _random(self, epoch: int, step: int) -> torch.Generator:
        return generator(self._seed, self._kind, self._task, epoch, step)


@lru_cache(maxsize=4)
def _permutation(size: int, seed: int, *purpose: str | int) -> Tensor:
    """A permutation of ``size`` rows; kept, because every step of an epoch asks for it."""
    return torch.randperm(size, generator=generator(seed, *purpose))

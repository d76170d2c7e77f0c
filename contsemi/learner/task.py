"""The rows that one task may draw from, and the batches drawn from them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.config import BatchSizes
from contsemi.data.sampler import LabelledPool, steps_per_epoch, unlabelled_batch
from contsemi.devices.ranks import Ranks
from contsemi.memory.exemplars import Exemplars
from contsemi.seeding import generator
from contsemi.types import Batch, Experience, Needs

__all__ = ["LabelledSource", "TaskRows", "gather"]

LabelledSource = Callable[[], tuple[Tensor, Tensor]]


def gather(images: Tensor, indices: Tensor, device: torch.device) -> Tensor:
    """Rows of an image array, on a device, without waiting for it."""
    rows = images.index_select(0, indices.to(images.device, non_blocking=True))
    return rows.to(device, non_blocking=True)


class TaskRows:
    """The labelled and unlabelled images of a task, with the exemplars of earlier ones.

    Args:
        experience: the task.
        images: uint8 [N, 3, S, S], the array that the task's indices point into.
        exemplars: of earlier tasks; among the labelled rows where ``needs.labelled_from`` says so.
        needs: of the objective and the distiller.
        sizes: images of one step.
        seed: the run's.
        device: where batches are wanted.
        ranks: the processes that share a batch; each gets the images of its own rows only.

    Attributes:
        labelled, labels, ids, from_memory: the labelled rows at hand: uint8 [n, 3, S, S], columns,
            stream-wide ids, and whether they are exemplars.
        columns: int64, the columns of the task's classes.
        steps_per_epoch: steps of one pass over the unlabelled rows.
    """

    def __init__(
        self,
        experience: Experience,
        images: Tensor,
        exemplars: Exemplars,
        needs: Needs,
        sizes: BatchSizes,
        *,
        seed: int,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.ranks = ranks
        self.experience, self.images, self.needs, self.sizes = experience, images, needs, sizes
        self.seed, self.device = seed, device
        self.labelled = gather(images, experience.labelled, device)
        self.labels, self.ids = experience.labels.to(device), experience.labelled.to(device)
        self.from_memory = torch.zeros(len(self.labels), dtype=torch.bool, device=device)
        if len(exemplars) and needs.labelled_from == "all":
            self.labelled = torch.cat([self.labelled, exemplars.images])
            self.labels = torch.cat([self.labels, exemplars.labels])
            self.ids = torch.cat([self.ids, exemplars.ids])
            self.from_memory = functional.pad(self.from_memory, (0, len(exemplars)), value=True)
        self._pool = LabelledPool(self.labels.cpu(), seed=seed, task=experience.index)
        self.columns = torch.tensor(experience.columns, device=device)
        self.steps_per_epoch = steps_per_epoch(len(experience.unlabelled), sizes.unlabelled)
        self._current_rows: Tensor | None = None
        self._old_rows: Tensor | None = None
        if needs.labelled_views and needs.supports_per_class:
            drawn = self._pool.columns_drawn(*self._wanted())
            current = torch.isin(drawn, self.columns.cpu())
            self._current_rows = current.nonzero()[:, 0].to(device)
            self._old_rows = (drawn < experience.num_old).nonzero()[:, 0].to(device)

    def batch(self, epoch: int, iteration: int, source: LabelledSource | None = None) -> Batch:
        """The images of one step.

        Args:
            epoch: epoch in this task.
            iteration: step in this epoch.
            source: gives the labelled images and their columns in place of the own sampler.
        """
        unlabelled = self.experience.unlabelled[:0]
        if self.needs.large_views:
            unlabelled = unlabelled_batch(
                self.experience.unlabelled,
                self.sizes.unlabelled,
                epoch,
                iteration,
                seed=self.seed,
                task=self.experience.index,
            )
        if source is not None:
            labelled, labels = source()
            labelled = self.ranks.own(labelled)
            ids = torch.full_like(labels, -1)
            remembered = ~torch.isin(labels, self.columns)
        else:
            drawn = self._labelled_rows(epoch, iteration)
            labelled = gather(self.labelled, self.ranks.own(drawn), self.device)
            rows = drawn.to(self.device, non_blocking=True)
            kept = (self.labels, self.ids, self.from_memory)
            labels, ids, remembered = (each.index_select(0, rows) for each in kept)
        return Batch(
            labelled=labelled,
            labels=labels,
            from_memory=remembered,
            unlabelled=gather(self.images, self.ranks.own(unlabelled), self.device),
            labelled_ids=ids,
            unlabelled_ids=unlabelled.to(self.device, non_blocking=True),
            current_rows=None if source is not None else self._current_rows,
            old_rows=None if source is not None else self._old_rows,
        )

    def near(self, ids: Tensor, step: int) -> Tensor | None:
        """This process's images [m * B, 3, S, S] to take small views of, if not the batch's.

        Args:
            ids: int64 [B], of the unlabelled images of the batch.
            step: in this task, which fixes the draw.
        """
        if self.needs.neighbours is None or not self.needs.small_views:
            return None
        found = self.needs.neighbours(ids)
        draw = generator(self.seed, "neighbours", self.experience.index, step)
        picks = torch.randint(found.shape[1], (self.needs.small_views, len(ids)), generator=draw)
        picks = picks.to(found.device, non_blocking=True)
        chosen = self.ranks.own(found.gather(1, picks.T)).T.flatten()
        # Waits for the device only where the images are not on it.
        return gather(self.images, chosen.to(self.images.device), self.device)

    def _labelled_rows(self, epoch: int, iteration: int) -> Tensor:
        if not self.needs.labelled_views:
            return torch.empty(0, dtype=torch.int64)
        if self.needs.supports_per_class:
            return self._pool.stratified(*self._wanted(), epoch, iteration)
        return self._pool.uniform(self.sizes.labelled, epoch, iteration)

    def _wanted(self) -> tuple[int, Tensor]:
        """Rows of each class, and the classes, of a stratified draw."""
        return self.needs.supports_per_class, torch.arange(self.experience.num_seen)

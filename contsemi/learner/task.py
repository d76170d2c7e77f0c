"""The rows that one task may draw from, and the batches drawn from them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.config import BatchSizes
from contsemi.data.class_draw import ClassDraw
from contsemi.data.sampler import LabelledPool, steps_per_epoch, unlabelled_places
from contsemi.devices.ranks import Ranks
from contsemi.memory.exemplars import Exemplars
from contsemi.seeding import generator
from contsemi.types import Batch, ByAge, Experience, Needs, View

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
        coarse: int64 [n], their coarse classes, -1 unknown.
        pool_ids: int64 [P], stream-wide ids of the unlabelled images, in the order of the pool.
        columns: int64, the columns that the unlabelled images may be of.
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
        self.coarse = experience.coarse.to(device)
        if len(exemplars) and needs.labelled_from == "all":
            self.labelled = torch.cat([self.labelled, exemplars.images])
            self.labels = torch.cat([self.labels, exemplars.labels])
            self.ids = torch.cat([self.ids, exemplars.ids])
            self.from_memory = functional.pad(self.from_memory, (0, len(exemplars)), value=True)
            of_old = experience.coarse_of.to(device)[exemplars.labels]
            self.coarse = torch.cat([self.coarse, of_old])
        self.pool_ids = experience.unlabelled.to(device)
        self.coarse_only = experience.coarse_only_labels.to(device)
        self._views = {name: view for name, view in needs.views.items() if view.near is not None}
        self._pool = LabelledPool(self.labels.cpu(), seed=seed, task=experience.index)
        self._coarse_pool = None
        if len(experience.coarse_only) and "coarse" in needs.rows:
            coarse = experience.coarse_only_labels
            named = {"seed": seed, "task": experience.index}
            self._coarse_pool = LabelledPool(coarse, kind="coarse", **named)
        # One that stands for all, where a step is to do nothing about coarse labels.
        self._unknown = None if (self.coarse >= 0).any() else self.coarse.new_full((1,), -1)
        self._no_coarse = gather(images, experience.coarse_only[:0], device), self.coarse_only[:0]
        self.columns = torch.tensor(experience.pool_columns, dtype=torch.int64, device=device)
        self.steps_per_epoch = steps_per_epoch(len(experience.unlabelled), sizes.unlabelled)
        self._by_age: ByAge | None = None
        self._weights: Tensor | None = None
        self._classes = self._pool.with_rows(torch.arange(experience.num_seen))
        self._class_draw: ClassDraw | None = None
        if "labelled" in needs.rows and needs.supports_per_class:
            most = sizes.classes_per_step
            self._class_draw = ClassDraw.of(self._classes, experience, most, seed)
            if self._class_draw is not None:
                each = self._class_draw.weights
                self._weights = each.repeat(needs.supports_per_class).to(device)
            # of which classes the rows are may differ between steps, but not which are the task's
            drawn = self._pool.columns_drawn(*self._wanted(0, 0))
            ages = torch.isin(drawn, self.columns.cpu()), drawn < experience.num_old
            self._by_age = ByAge(*(rows.nonzero()[:, 0].to(device) for rows in ages))

    def batch(self, epoch: int, iteration: int, source: LabelledSource | None = None) -> Batch:
        """The images of one step.

        Args:
            epoch: epoch in this task.
            iteration: step in this epoch.
            source: gives the labelled images and their columns in place of the own sampler.
        """
        places = self.experience.unlabelled[:0]
        if "unlabelled" in self.needs.rows:
            places = unlabelled_places(
                len(self.experience.unlabelled),
                self.sizes.unlabelled,
                epoch,
                iteration,
                seed=self.seed,
                task=self.experience.index,
            )
        unlabelled = self.experience.unlabelled[places]
        known = places.to(self.device, non_blocking=True)
        if source is not None:
            labelled, labels = source()
            labelled = self.ranks.own(labelled)
            ids = torch.full_like(labels, -1)
            remembered = ~self.own(labels)
            coarse = torch.full_like(labels, -1)
        else:
            drawn = self._labelled_rows(epoch, iteration)
            labelled = gather(self.labelled, self.ranks.own(drawn), self.device)
            rows = drawn.to(self.device, non_blocking=True)
            kept = (self.labels, self.ids, self.from_memory)
            labels, ids, remembered = (each.index_select(0, rows) for each in kept)
            coarse = self._coarse(rows)
        coarse_images, coarse_only = self._coarse_only(epoch, iteration)
        return Batch(
            labelled=labelled,
            labels=labels,
            from_memory=remembered,
            unlabelled=gather(self.images, self.ranks.own(unlabelled), self.device),
            labelled_ids=ids,
            unlabelled_ids=self.pool_ids.index_select(0, known),
            places=known,
            coarse=coarse,
            coarse_images=coarse_images,
            coarse_only=coarse_only,
            label_weights=None if source is not None else self._weights,
            by_age=None if source is not None else self._by_age,
        )

    def own(self, labels: Tensor) -> Tensor:
        """Whether columns [n] are of the task's own classes."""
        columns = torch.tensor(self.experience.columns, dtype=labels.dtype, device=labels.device)
        return torch.isin(labels, columns)

    def near(self, places: Tensor, step: int) -> dict[str, Tensor]:
        """This process's images [V * B, 3, S, S] of the views that are of neighbours, by name.

        Args:
            places: int64 [B], of the unlabelled images of the batch in the pool.
            step: in this task, which fixes the draw.
        """
        if not self._views:
            return {}
        draw = generator(self.seed, "neighbours", self.experience.index, step)
        return {name: self._near(view, places, draw) for name, view in self._views.items()}

    def _near(self, view: View, places: Tensor, draw: torch.Generator) -> Tensor:
        assert view.near is not None
        found = view.near(places)
        picks = torch.randint(found.shape[1], (view.number, len(places)), generator=draw)
        picks = picks.to(found.device, non_blocking=True)
        chosen = self.ranks.own(found.gather(1, picks.T)).T.flatten()
        # Waits for the device only where the images are not on it.
        return gather(self.images, self.pool_ids[chosen].to(self.images.device), self.device)

    def _coarse(self, rows: Tensor) -> Tensor:
        """Coarse classes of some of the labelled rows."""
        if self._unknown is not None:
            return self._unknown.expand(len(rows))
        return self.coarse.index_select(0, rows)

    def _coarse_only(self, epoch: int, iteration: int) -> tuple[Tensor, Tensor]:
        """This process's images of which only the coarse class is known, and the class of all."""
        if self._coarse_pool is None:
            return self._no_coarse
        drawn = self._coarse_pool.uniform(self.sizes.labelled, epoch, iteration)
        images = gather(
            self.images, self.ranks.own(self.experience.coarse_only[drawn]), self.device
        )
        return images, self.coarse_only[drawn.to(self.device, non_blocking=True)]

    def _labelled_rows(self, epoch: int, iteration: int) -> Tensor:
        if "labelled" not in self.needs.rows:
            return torch.empty(0, dtype=torch.int64)
        if self.needs.supports_per_class:
            return self._pool.stratified(*self._wanted(epoch, iteration), epoch, iteration)
        return self._pool.uniform(self.sizes.labelled, epoch, iteration)

    def _wanted(self, epoch: int, iteration: int) -> tuple[int, Tensor]:
        """Rows of each class, and the classes, of a stratified draw."""
        draw = self._class_draw
        columns = self._classes if draw is None else draw.columns(epoch, iteration)
        return self.needs.supports_per_class or 0, columns

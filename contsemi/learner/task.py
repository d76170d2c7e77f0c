"""The rows that one task may draw from, and the batches drawn from them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.config import Config
from contsemi.data.class_draw import ClassDraw
from contsemi.data.sampler import LabelledPool, steps_per_epoch, unlabelled_places
from contsemi.devices.ranks import Ranks
from contsemi.learner.reading import Drawn, Reading
from contsemi.memory.exemplars import Exemplars
from contsemi.seeding import generator
from contsemi.stores.parts import chained
from contsemi.stores.store import ImageStore
from contsemi.types import Batch, ByAge, Experience, Needs, View
from contsemi.views.background import swapped

_NONE = torch.empty(0, dtype=torch.int64)

LabelledSource = Callable[[], tuple[Tensor, Tensor]]


class TaskRows:
    """The labelled and unlabelled images of a task, with the exemplars of earlier ones.

    Args:
        experience: the task.
        images: what the task's indices point into.
        exemplars: of earlier tasks; among the labelled rows where ``needs.labelled_from`` says so.
        needs: of the objective and the distiller.
        config: the run.
        device: where batches are wanted.
        ranks: the processes that share a batch; each gets the images of its own rows only.

    Attributes:
        images: as given.
        labelled, labels, ids, from_memory: the labelled rows at hand: their images, columns,
            stream-wide ids, and whether they are exemplars.
        coarse: int64 [n], their coarse classes, -1 unknown.
        pool_ids: int64 [P], stream-wide ids of the unlabelled images, in the order of the pool.
        columns: int64, the columns that the unlabelled images may be of.
        steps_per_epoch: steps of one pass over the unlabelled rows.
    """

    def __init__(
        self,
        experience: Experience,
        images: ImageStore,
        exemplars: Exemplars,
        needs: Needs,
        config: Config,
        *,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.ranks = ranks
        self.experience, self.images, self.needs = experience, images, needs
        self.sizes, self.seed, self.device = config.batch, config.seed, device
        self.labelled = images.some(experience.labelled)
        self.labels, self.ids = experience.labels.to(device), experience.labelled.to(device)
        self.from_memory = torch.zeros(len(self.labels), dtype=torch.bool, device=device)
        self.coarse = experience.coarse.to(device)
        if len(exemplars) and needs.labelled_from == "all":
            self.labelled = chained(self.labelled, exemplars.store)
            self.labels = torch.cat([self.labels, exemplars.labels])
            self.ids = torch.cat([self.ids, exemplars.ids])
            self.from_memory = functional.pad(self.from_memory, (0, len(exemplars)), value=True)
            of_old = experience.coarse_of.to(device)[exemplars.labels]
            self.coarse = torch.cat([self.coarse, of_old])
        self.pool_ids = experience.unlabelled.to(device)
        self.coarse_only = experience.coarse_only_labels.to(device)
        self._views = {
            name: view for name, view in needs.views.items() if view.near or view.swapped
        }
        self._pool = LabelledPool(self.labels.cpu(), seed=self.seed, task=experience.index)
        self._coarse_pool = None
        if len(experience.coarse_only) and "coarse" in needs.rows:
            coarse = experience.coarse_only_labels
            named = {"seed": self.seed, "task": experience.index}
            self._coarse_pool = LabelledPool(coarse, kind="coarse", **named)
        # One that stands for all, where a step is to do nothing about coarse labels.
        self._unknown = None if (self.coarse >= 0).any() else self.coarse.new_full((1,), -1)
        self.columns = torch.tensor(experience.pool_columns, dtype=torch.int64, device=device)
        self.steps_per_epoch = steps_per_epoch(len(experience.unlabelled), self.sizes.unlabelled)
        sources = {
            "unlabelled": (images, experience.unlabelled),
            "labelled": (self.labelled, None),
            "coarse": (images, experience.coarse_only),
        }
        self._no_images = dict.fromkeys(sources, images.take(_NONE))
        self._reading = Reading(
            {kind: source for kind, source in sources.items() if kind in needs.rows},
            needs.views,
            config.views.policies,
            seed=(self.seed, experience.index),
            ranks=ranks,
        )
        self._following: tuple[tuple[int, int], Drawn] | None = None
        self._by_age: ByAge | None = None
        self._weights: Tensor | None = None
        self._classes = self._pool.with_rows(torch.arange(experience.num_seen))
        self._class_draw: ClassDraw | None = None
        if "labelled" in needs.rows and needs.supports_per_class:
            self._draw_by_class(needs.supports_per_class)

    def _draw_by_class(self, each: int) -> None:
        """Each step has so many labelled rows of each class, or of each of a sample of classes."""
        experience, most = self.experience, self.sizes.classes_per_step
        self._class_draw = ClassDraw.of(self._classes, experience, most, self.seed)
        if self._class_draw is not None:
            self._weights = self._class_draw.weights.repeat(each).to(self.device)
        # Of which classes the rows are may differ between steps, but not which are the task's.
        drawn = self._pool.columns_drawn(*self._wanted(0, 0))
        ages = torch.isin(drawn, self.columns.cpu()), drawn < experience.num_old
        self._by_age = ByAge(*(rows.nonzero()[:, 0].to(self.device) for rows in ages))

    def batch(self, epoch: int, iteration: int, source: LabelledSource | None = None) -> Batch:
        """The images of one step; where they are read ahead, those of the next one begin to be.

        Args:
            epoch: epoch in this task.
            iteration: step in this epoch.
            source: gives the labelled images and their columns in place of the own sampler.
        """
        drawn = self._drawn(epoch, iteration, source is None)
        coming = None
        if self.images.ahead:
            last = iteration + 1 == self.steps_per_epoch
            following = (epoch + 1, 0) if last else (epoch, iteration + 1)
            coming = self._drawn(*following, source is None)
            self._following = following, coming
        images, cut = self._reading.images(drawn, coming)
        known = drawn.places.to(self.device, non_blocking=True)
        only = drawn.coarse.to(self.device, non_blocking=True)
        if source is not None:
            labelled, labels = source()
            images["labelled"] = self.ranks.own(labelled)
            ids = coarse = torch.full_like(labels, -1)
        else:
            rows = drawn.labelled.to(self.device, non_blocking=True)
            labels, ids = (each.index_select(0, rows) for each in (self.labels, self.ids))
            coarse = self._coarse(rows)
        return Batch(
            images=self._no_images | images,
            labels=labels,
            labelled_ids=ids,
            unlabelled_ids=self.pool_ids.index_select(0, known),
            places=known,
            coarse={"labelled": coarse, "coarse": self.coarse_only.index_select(0, only)},
            label_weights=None if source is not None else self._weights,
            by_age=None if source is not None else self._by_age,
            cut=cut,
        )

    def _drawn(self, epoch: int, iteration: int, labelled: bool) -> Drawn:
        """Which rows a step draws."""
        if self._following is not None and self._following[0] == (epoch, iteration):
            return self._following[1]
        places = _NONE
        if "unlabelled" in self.needs.rows:
            places = unlabelled_places(
                len(self.experience.unlabelled),
                self.sizes.unlabelled,
                epoch,
                iteration,
                seed=self.seed,
                task=self.experience.index,
            )
        coarse = _NONE
        if self._coarse_pool is not None:
            coarse = self._coarse_pool.uniform(self.sizes.labelled, epoch, iteration)
        return Drawn(
            step=epoch * self.steps_per_epoch + iteration,
            places=places,
            labelled=self._labelled_rows(epoch, iteration) if labelled else _NONE,
            coarse=coarse,
        )

    def others(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """This process's images [V * B, 3, S, S] of views that are not of the batch's, by name.

        Args:
            batch: the images of the step.
            step: in this task, which fixes the draw.
        """
        if not self._views:
            return {}
        draw = generator(self.seed, "neighbours", self.experience.index, step)
        found = {}
        for name, view in self._views.items():
            if view.near:
                found[name] = self._near(view, batch.places, draw)
            elif len(self.pool_ids) > 1:
                found[name] = self._swapped(view, batch, draw)
        return found

    def _near(self, view: View, places: Tensor, draw: torch.Generator) -> Tensor:
        assert view.near is not None
        found = view.near(places)
        picks = torch.randint(found.shape[1], (view.number, len(places)), generator=draw)
        picks = picks.to(found.device, non_blocking=True)
        return self._taken(found.gather(1, picks.T))

    def _swapped(self, view: View, batch: Batch, draw: torch.Generator) -> Tensor:
        """Foregrounds of other images of the pool on the backgrounds of those of the batch."""
        size = len(self.pool_ids)
        further = torch.randint(1, size, (len(batch.places), view.number), generator=draw)
        further = further.to(batch.places.device, non_blocking=True)
        theirs = self._taken((batch.places[:, None] + further) % size)
        return swapped(theirs, batch.images["unlabelled"].repeat(view.number, 1, 1, 1))

    def _taken(self, places: Tensor) -> Tensor:
        """This process's images [V * B, ...] of places [B, V], view-major."""
        # Waits for the device only where the images are not on it.
        return self.images.take(self.pool_ids[self.ranks.own(places).T.flatten()])

    def _coarse(self, rows: Tensor) -> Tensor:
        """Coarse classes of some of the labelled rows."""
        if self._unknown is not None:
            return self._unknown.expand(len(rows))
        return self.coarse.index_select(0, rows)

    def _labelled_rows(self, epoch: int, iteration: int) -> Tensor:
        if "labelled" not in self.needs.rows:
            return _NONE
        if self.needs.supports_per_class:
            return self._pool.stratified(*self._wanted(epoch, iteration), epoch, iteration)
        return self._pool.uniform(self.sizes.labelled, epoch, iteration)

    def _wanted(self, epoch: int, iteration: int) -> tuple[int, Tensor]:
        """Rows of each class, and the classes, of a stratified draw."""
        draw = self._class_draw
        columns = self._classes if draw is None else draw.columns(epoch, iteration)
        return self.needs.supports_per_class or 0, columns

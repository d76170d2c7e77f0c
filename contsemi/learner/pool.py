"""The images of a task, as networks see them without augmentation."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from contsemi.learner.forward import Embedder
from contsemi.learner.networks import Networks
from contsemi.learner.task import TaskRows
from contsemi.search.index import Index, Kind
from contsemi.stores.store import ImageStore
from contsemi.types import Outputs


class TaskPool:
    """The pool of a task, for one state of the networks; see :class:`~contsemi.types.Pool`.

    It is never whole on the device: networks see it in chunks, each network once.

    Args:
        task: the rows of the task.
        networks: as they are now.
        embed: runs them.
        heads: that the method needs.
        draw: gives a generator for a purpose.
        kept: images of earlier tasks: the exemplars, and those that were not trained on.
        index: how near rows are looked for; see :class:`contsemi.search.index.Index`.
    """

    def __init__(
        self,
        task: TaskRows,
        networks: Networks,
        embed: Embedder,
        heads: tuple[str, ...],
        *,
        draw: Callable[[str], torch.Generator],
        kept: Sequence[ImageStore],
        index: Kind = "auto",
    ) -> None:
        self.task, self.networks, self.embed, self.heads = task, networks, embed, heads
        self.draw, self.index = draw, index
        self.kept = [images for images in kept if len(images)]
        self._rows = task.experience.unlabelled
        self.ids, self.columns = task.pool_ids, task.columns
        self._outputs: dict[tuple[str, tuple[str, ...]], Outputs] = {}

    @cached_property
    def labels(self) -> Tensor:
        """Columns int64 [P] of the images whose label this run has, else -1."""
        known, order = self.task.experience.labelled.sort()
        labels = self.task.experience.labels[order].to(self.ids.device)
        known = known.to(self.ids.device)
        if not len(known):
            return torch.full_like(self.ids, -1)
        place = torch.searchsorted(known, self.ids).clamp(max=len(known) - 1)
        return torch.where(known[place] == self.ids, labels[place], -1)

    def outputs(self, network: str, *heads: str) -> Outputs:
        """What a network says of all images; see :class:`~contsemi.types.Pool`."""
        wanted = heads or self.heads
        for (name, known), found in self._outputs.items():
            if name == network and set(wanted) <= set(known):
                return found
        made = self.embed(self.networks.by_name(network), self.task.images, wanted, self._rows)
        self._outputs[network, wanted] = made
        return made

    def labelled(self, network: str, *heads: str) -> tuple[Outputs, Tensor]:
        """What a network says of the labelled images at hand; see :class:`~contsemi.types.Pool`."""
        by = self.networks.by_name(network)
        return self.embed(by, self.task.labelled, heads or self.heads), self.task.labels

    def nearest(self, rows: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """The rows nearest to each of them; see :class:`~contsemi.types.Pool`."""
        return Index(rows, self.index).search(rows, number)

    def images(self, places: Tensor) -> Tensor:
        """Images uint8 [n, 3, S, S] on the device."""
        return self.task.images.take(self.ids[places])

    def moved(self, take: Callable[[Outputs], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What the task's images, exemplars and anchors were to the past, and what they are now.

        Exemplars and anchors are few, but the only images of old classes: each kind weighs the same
        in all.

        Args:
            take: what is wanted of a network's outputs, [n, F].

        Returns:
            old and new [P + M + A, F], and their weights [P + M + A].

        Raises:
            ValueError: there is no frozen network.
        """
        new, old = (
            [take(self.outputs(name)), *self._of_kept(name, take)]
            for name in ("predicting", "past")
        )
        weights = [torch.full((len(x),), 1 / max(len(x), 1), device=x.device) for x in new]
        return torch.cat(old), torch.cat(new), torch.cat(weights)

    def _of_kept(self, network: str, take: Callable[[Outputs], Tensor]) -> list[Tensor]:
        by = self.networks.by_name(network)
        return [take(self.embed(by, images, self.heads)) for images in self.kept]

"""Images kept out of training: how a network moves on images that it was not fitted to.

A map from one network's features to the next one's is fitted on images that both saw. Exemplars of
old classes are trained on, so they move as no other image of their classes does. Anchors are drawn
from a task's unlabelled images before it begins, take no part in its training, and stay when it is
over: pairs for the map that training has not touched.
"""

from dataclasses import replace

import torch
from torch import Tensor

from contsemi.seeding import generator
from contsemi.stores.store import ImageStore
from contsemi.types import Experience

_LEAST_LEFT = 0.5  # share of a task's unlabelled images that is left to train on


class Anchors:
    """Images of earlier tasks, equally many of each.

    Args:
        budget: images over all tasks.

    Attributes:
        images: uint8 [M, 3, S, S].
        tasks: int64 [M], the task that each came with.
        held: int64, rows of the stream's images that the present task leaves out.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.images = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
        self.tasks = torch.empty(0, dtype=torch.int64)
        self.held = torch.empty(0, dtype=torch.int64)
        self._task = 0

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the pixels."""
        return self.images.nbytes

    def begin(self, experience: Experience, seed: int) -> Experience:
        """The task without the images that are held out; the same ones for the same seed."""
        taken = torch.cat([experience.labelled, experience.coarse_only])
        free = experience.unlabelled[~torch.isin(experience.unlabelled, taken)]
        draw = generator(seed, "anchors", experience.index)
        most = int(_LEAST_LEFT * len(experience.unlabelled))
        number = min(self.budget // (experience.index + 1), len(free), most)
        self._task = experience.index
        self.held = free[torch.randperm(len(free), generator=draw)[:number]]
        if not number:
            return experience
        left = experience.unlabelled[~torch.isin(experience.unlabelled, self.held)]
        return replace(experience, unlabelled=left)

    def end(self, images: ImageStore, device: torch.device) -> None:
        """The task is over: its share is kept, and those of earlier tasks shrink to as much.

        Args:
            images: what its rows point into.
            device: where they are kept.
        """
        if not self.budget:
            return
        most = self.budget // (self._task + 1)
        place = torch.arange(len(self.tasks), device=self.tasks.device)
        first = torch.searchsorted(self.tasks, self.tasks)  # in the order of the tasks
        kept = place - first < most
        new = images.take(self.held).to(device)
        own = torch.full((len(new),), self._task, device=device)
        old = self.images[kept].to(device) if len(self) else new[:0]
        self.images = torch.cat([old, new])
        self.tasks = torch.cat([self.tasks[kept].to(device), own])
        self.held = self.held[:0]

    def state(self) -> dict[str, Tensor]:
        """All that is kept, for a checkpoint."""
        return {"images": self.images, "tasks": self.tasks} if len(self) else {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes it back; of an empty state nothing was kept."""
        if state:
            self.images, self.tasks = state["images"], state["tasks"]

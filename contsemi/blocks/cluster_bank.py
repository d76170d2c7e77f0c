"""Embeddings and clusters of a task's images, moved by each batch."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.kmeans import Clustering, kmeans
from contsemi.assign.lloyd import member_means
from contsemi.assign.upkeep import without_small
from contsemi.blocks.sized import Sized
from contsemi.types import Experience, Pool


class ClusterBank(Sized):
    """A table by place, as long as the task's pool, that begins with k-means.

    Each batch moves its rows and gives them their nearest centroid. Now and then centroids become
    the means of their rows, and clusters of few rows are given up for halves of the largest. A
    class with a label has a cluster from the start, the first ones, in which its labelled images
    stay; these clusters are neither given up nor split.

    Args:
        per_class: clusters for each class of the task.
        least: rows that a cluster has to have.
        momentum: of the table: the share of the old row that a new one keeps.
        iterations: of k-means, at most.
        every: steps between two looks at the clusters.

    Source: Xie et al. 2022, section 3.2 (InterCLR); Zhan et al. 2020 (ODC). Their code looks at
        small clusters in each step.
    """

    rows: Tensor
    centroids: Tensor
    cluster: Tensor
    known: Tensor  # whose cluster a label says
    classes: Tensor  # columns of the first clusters

    def __init__(
        self, per_class: float, *, least: int, momentum: float, iterations: int, every: int
    ) -> None:
        super().__init__()
        self.per_class, self.least, self.momentum = per_class, least, momentum
        self.iterations, self.refresh_every = iterations, every
        self._next: tuple[Tensor, Tensor] | None = None
        for name in ("rows", "centroids"):
            self.register_buffer(name, torch.empty(0, 0))
        for name in ("cluster", "classes"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int64))
        self.register_buffer("known", torch.empty(0, dtype=torch.bool))
        self.clusters = 0

    def begin(self, experience: Experience) -> None:
        """Forgets the images of the task before."""
        self.clusters = max(1, round(self.per_class * len(experience.pool_columns)))
        self._next = None
        for name, buffer in self.named_buffers():
            setattr(self, name, buffer[:0])

    def due(self, step: int, steps_per_epoch: int) -> bool:
        """Also whenever it has no image yet."""
        return not len(self.rows) or super().due(step, steps_per_epoch)

    @torch.no_grad()
    def refresh(self, pool: Pool) -> None:
        """Clusters all images at the start of a task, and looks after the clusters later."""
        draw = pool.draw("clusters")
        seed = int(torch.randint(2**31, (), generator=draw, device=draw.device))
        if not len(self.rows):
            rows = pool.outputs("teacher", "projector")["projector"]
            self.start(functional.normalize(rows, dim=1), pool.labels.to(rows.device), seed=seed)
        means = member_means(self.rows, self.cluster, self.centroids)
        self._take(
            without_small(
                self.rows,
                Clustering(self.cluster, means),
                least=self.least,
                whole=len(self.classes),
                seed=seed,
            )
        )

    def start(self, rows: Tensor, labels: Tensor, *, seed: int) -> None:
        """k-means of unit rows [P, D] with labels int64 [P], -1 for none."""
        classes = torch.unique(labels)
        self.classes = classes[classes >= 0]
        member = (labels == self.classes[:, None]).to(rows)
        centre = member @ rows / member.sum(dim=1, keepdim=True)
        found = kmeans(
            rows,
            max(self.clusters, len(self.classes)),
            seed=seed,
            iterations=self.iterations,
            start=centre if len(centre) else None,
        )
        self.rows, self.known = rows.clone(), labels >= 0
        own = torch.searchsorted(self.classes, labels)
        self._take(Clustering(torch.where(self.known, own, found.cluster), found.centroids))

    def _take(self, found: Clustering) -> None:
        self.cluster, self.centroids = found.cluster, found.centroids

    def forward(self, places: Tensor, labels: Tensor) -> Tensor:
        """The cluster int64 [N] of images at places int64 [N], or of labels; -1 for none."""
        none = torch.full_like(places, -1)
        found = none
        if len(self.rows):
            found = torch.where(places >= 0, self.cluster[places.clamp(min=0)], none)
        if len(self.classes):
            at = torch.searchsorted(self.classes, labels).clamp(max=len(self.classes) - 1)
            found = torch.where((labels >= 0) & (self.classes[at] == labels), at, found)
        return found

    def hold(self, rows: Tensor, places: Tensor) -> None:
        """Unit rows [N, D] of the images at places int64 [N], that enter after the step."""
        self._next = rows.detach(), places

    @torch.no_grad()
    def after_step(self) -> None:
        """The rows that are held move those of their images, and find their clusters anew."""
        if self._next is None or not len(self.rows):
            return
        (rows, places), self._next = self._next, None
        moved = self.momentum * self.rows[places] + (1 - self.momentum) * rows.to(self.rows)
        moved = functional.normalize(moved, dim=1)
        nearest = (moved @ self.centroids.T).argmax(dim=1)
        self.rows[places] = moved
        self.cluster[places] = torch.where(self.known[places], self.cluster[places], nearest)

    def get_extra_state(self) -> dict[str, Tensor]:
        """The number of clusters."""
        return {"clusters": torch.tensor(self.clusters)}

    def set_extra_state(self, state: Any) -> None:
        """Takes back what :meth:`get_extra_state` gave."""
        self.clusters = int(state["clusters"])

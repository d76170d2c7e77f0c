"""The clusters that the images of a task are in, found anew now and then."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.acceptance import cluster_confidence, confidence_ranks
from contsemi.assign.kmeans import kmeans
from contsemi.blocks.sized import Sized
from contsemi.types import Experience, Pool


class Clusters(Sized):
    """k-means of the slow network's embeddings of a task's images, with labels as starts.

    Numbers of clusters: that of a class is its column; free ones come after all columns. Each class
    that has a label has a cluster, which starts at the mean of its labelled images, and these stay
    in it. A table by place holds the cluster of each image, so it is as long as the task's pool.

    Args:
        per_class: clusters for each class of the task, for each level.
        iterations: of k-means, at most.
        every: when they are found anew: ``task``, ``epoch``, or a number of steps.
        temperature: of the confidence in a cluster.

    Source: Chen et al. 2022 (IFND); Huang et al. 2022 (ProPos).
    """

    table: Tensor
    ranks: Tensor
    known: Tensor

    def __init__(
        self,
        per_class: Sequence[float],
        *,
        iterations: int,
        every: str | int = "epoch",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.per_class, self.iterations, self.temperature = per_class, iterations, temperature
        self.refresh_every = every
        self.num_classes, self.num_seen = 0, 0
        for name in ("table", "ranks"):  # [levels, P]
            self.register_buffer(name, torch.empty(len(per_class), 0, dtype=torch.int64))
        # Which numbers are those of clusters, on the last level.
        self.register_buffer("known", torch.empty(0, dtype=torch.bool))

    def begin(self, experience: Experience) -> None:
        """Nobody is in a cluster before the first :meth:`refresh` of the task."""
        self.num_classes, self.num_seen = len(experience.pool_columns), experience.num_seen
        shape = (len(self.per_class), len(experience.unlabelled))
        self.table = torch.full(shape, -1, device=self.table.device)
        self.ranks = self.table.clone()
        self.known = torch.zeros(self.most, dtype=torch.bool, device=self.table.device)

    @property
    def most(self) -> int:
        """All cluster numbers are below this one."""
        return self.num_seen + max(self._number(level) for level in self.per_class)

    @torch.no_grad()
    def refresh(self, pool: Pool) -> None:
        """Finds the clusters of all images of the task."""
        rows = functional.normalize(pool.outputs("teacher", "projector")["projector"], dim=1)
        labels = pool.labels.to(rows.device)
        classes = torch.unique(labels)
        classes = classes[classes >= 0]
        member = (labels == classes[:, None]).to(rows)
        start = functional.normalize(member @ rows, dim=1) if len(classes) else None
        numbers = torch.arange(self.most, device=rows.device)
        numbers = torch.cat([classes, numbers + self.num_seen])  # of clusters, in k-means' order
        tables, ranks = [], []
        for level, each in enumerate(self.per_class):
            draw = pool.draw(f"clusters {level}")
            found = kmeans(
                rows,
                max(self._number(each), len(classes)),
                seed=int(torch.randint(2**31, (), generator=draw, device=draw.device)),
                iterations=self.iterations,
                spherical=True,
                start=start,
            )
            sure = cluster_confidence(
                rows, found.centroids, found.cluster, temperature=self.temperature
            )
            tables.append(torch.where(labels >= 0, labels, numbers[found.cluster]))
            ranks.append(confidence_ranks(torch.where(labels >= 0, 2, sure)))
        self.table, self.ranks = torch.stack(tables), torch.stack(ranks)
        none = torch.zeros(self.most, dtype=torch.bool, device=rows.device)
        self.known = none.index_fill(0, numbers[: len(found.centroids)], True)

    def forward(self, places: Tensor, labels: Tensor) -> Tensor:
        """The clusters int64 [levels, N] of images at places int64 [N], or of labels; -1 for none.

        Args:
            places: int64 [N], -1 for images outside of the pool.
            labels: int64 [N], -1 for none.
        """
        return self._at(self.table, places).where(labels < 0, labels)

    def rank(self, places: Tensor, labels: Tensor) -> Tensor:
        """Places int64 [levels, N] in the order of confidence, of which labels come first."""
        return self._at(self.ranks, places).where(labels < 0, 0)

    def _at(self, table: Tensor, places: Tensor) -> Tensor:
        if not table.shape[1]:
            return torch.full_like(places, -1).expand(len(table), -1)
        return table[:, places.clamp(min=0)].where(places >= 0, -1)

    def _number(self, per_class: float) -> int:
        return max(1, round(per_class * self.num_classes))

    def get_extra_state(self) -> dict[str, Tensor]:
        """How many classes the tables are of."""
        return {"sizes": torch.tensor([self.num_classes, self.num_seen])}

    def set_extra_state(self, state: Any) -> None:
        """Takes back what :meth:`get_extra_state` gave."""
        self.num_classes, self.num_seen = map(int, state["sizes"])

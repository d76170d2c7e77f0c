"""InterCLR: an image is drawn to members of its cluster, too, and told from those of other ones.

Source: Xie et al. 2022, "Delving into inter-image invariance for unsupervised visual
representations". MoCo tells images apart. Beside it each image of the task has a stored embedding
and a cluster, which is updated in every step: a random member of its cluster is the positive, and
the negatives are members of others, ``hard``, ``semihard``, ``semieasy`` or ``random``. The paper
has no labels: here labelled images stay in the cluster of their class; two of one class are
positives in MoCo's part; and a linear classifier on the features, which is what predicts, is
trained on the labels.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.assign.cluster_mates import cluster_mates, cluster_negatives
from contsemi.blocks.cluster_bank import ClusterBank
from contsemi.blocks.keyed import Keyed
from contsemi.losses.contrast import angular_margin, contrast
from contsemi.objectives.momentum_contrast import MomentumContrast
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Interclr(MomentumContrast):
    """Contrast within and between images."""

    idle: ClassVar = {"pool": {"sampling": ["hard", "random"]}, "margin_of": {"margin": [0]}}

    both_ways: bool = field(init=False, repr=False, default=False)

    margin: float  # of a positive between images, taken off its cosine; below 0 makes it easier
    margin_of: str = "cosine"  # or `angle`: the margin is then added to it, in radians
    sampling: str  # of the negatives: semihard, hard, semieasy or random
    negatives: int  # images of other clusters that each is told from
    pool: float  # share of the task's images that `semihard` and `semieasy` draw from
    clusters: float  # for each class of the task
    least: int  # images that a cluster has to have
    iterations: int  # of k-means at the start of a task
    every: int  # steps between two looks at the centroids
    bank_momentum: float  # share of an image's stored embedding that a new one keeps

    def __post_init__(self) -> None:
        super().__post_init__()
        self.found = ClusterBank(
            self.clusters,
            least=self.least,
            momentum=self.bank_momentum,
            iterations=self.iterations,
            every=self.every,
        )

    def contrasts(self, rows: Keyed, step: Step) -> dict[str, Tensor]:
        """``intra`` and ``inter``."""
        compared = self.queue.compare(rows)
        intra = contrast(compared.scores, compared.positives(), temperature=self.temperature)
        if not len(self.found.rows):
            return {"intra": intra}
        inter = self._inter(rows, step.draw("interclr"))
        self.found.hold(rows.keys[: step.batch_size], step.places)
        return {"intra": intra, "inter": inter}

    def _inter(self, rows: Keyed, draw: torch.Generator) -> Tensor:
        """A stored member of its cluster against stored members of others."""
        clusters = self.found(rows.places, rows.labels)
        scores = rows.queries @ self.found.rows.to(rows.queries).T
        mate, has = cluster_mates(clusters, self.found.cluster, draw=draw)
        apart, negative = cluster_negatives(
            scores.detach(),
            (self.found.cluster != clusters[:, None]) & (clusters >= 0)[:, None],
            number=self.negatives,
            sampling=self.sampling,
            pool=max(1, round(self.pool * scores.shape[1])),
            draw=draw,
        )
        found = torch.cat([has[:, None], negative], dim=1)
        picked = scores.gather(1, torch.cat([mate[:, None], apart], dim=1))
        positive = torch.zeros_like(found)
        positive[:, 0] = has
        margin = self.margin
        if self.margin_of == "angle":
            own, others = angular_margin(picked[:, :1], margin), picked[:, 1:]
            picked, margin = torch.cat([own, others], dim=1), 0.0
        return contrast(picked, positive, temperature=self.temperature, allow=found, margin=margin)

"""SwAV: images shared out among free clusters, each view predicting the share of the others.

Source: Caron et al. 2020, "Unsupervised learning of visual features by contrasting cluster
assignments". The gradient of the labels' classifier reaches the backbone: ``labelled_views: 0``
leaves it out, and with it labelled images from the batch and its BatchNorm statistics.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from contsemi.blocks.shares import Shares
from contsemi.objectives.free_clusters import FreeClusters
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Swav(FreeClusters):
    """Swapped assignments of free clusters."""

    idle: ClassVar = {**FreeClusters.idle, **Shares.idle}
    begins: ClassVar = {"queue": "queue_from"}

    epsilon: float  # temperature of the assignments
    iterations: int  # of Sinkhorn-Knopp or MIRA
    assign: str = "sinkhorn"  # who shares the images out: sinkhorn, all evenly, or mira
    beta: float = 0.0  # weight of the mutual information, of `mira`
    queue: int  # earlier embeddings of each large view, of this task, that share the balance
    queue_from: int  # epoch of a task from which the queue is filled; it is used once full

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shares = Shares(
            "clusters",
            epsilon=self.epsilon,
            iterations=self.iterations,
            queue=self.queue,
            queue_from=self.queue_from,
            assign=self.assign,
            beta=self.beta,
        )
        self.needs = self.asks_with()

    def assigned(self, step: Step, large: Outputs, wanted: Tensor | None) -> Tensor:
        """Shares of the batch, each cluster used as it is to be."""
        found: Tensor = self.shares(step, large, prior=wanted)
        return found

"""Suave: clusters that are classes, learned from labels and from swapped assignments.

Source: Fini et al. 2023, "Semi-supervised learning made simple with self-supervised clustering".
Each prototype is a class. Labelled images are classified by it; the unlabelled images of the
current task are shared out among the task's prototypes by Sinkhorn-Knopp, and each view predicts
the share of the other views. In a stream only the current task's prototypes take part in that.

The linear probes that the official code trains beside it on detached features are left out: no
gradient of theirs reaches the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import (
    LABELLED,
    UNMIXED,
    by_rows,
    labelled_cross_entropy,
    labelled_small,
    mixed_labelled,
)
from contsemi.blocks.prior import Prior
from contsemi.blocks.shares import Shares
from contsemi.losses.cross_entropy import soft_cross_entropy
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.objectives.indexed import Indexed
from contsemi.types import Mix, Outputs, Step, View

# the first large view of each image with the second one of its partner
FIRST = Mix(of=("large",), views=2, kept=1, cut=True)


@dataclass(kw_only=True, eq=False)
class Suave(Indexed):
    """Clustering prototypes tied to classes."""

    idle: ClassVar = {
        **Indexed.of_large,
        **Shares.idle,
        **UNMIXED,
        "mix_weight": {"mix_large": [False], "large_views": [0]},
        **{
            key: {"large_views": [0]}
            for key in (
                "weights.clustering",
                "ramp",
                "against",
                "mix_large",
                "prior",
                "small_views",
            )
        },
    }
    begins: ClassVar = {"queue": "queue_from"}

    temperature: float  # of all predictions
    epsilon: float  # temperature of the assignments
    iterations: int  # of Sinkhorn-Knopp or MIRA
    assign: str = "sinkhorn"  # who shares the images out: sinkhorn, all evenly, or mira
    beta: float = 0.0  # weight of the mutual information, of `mira`
    smoothing: float  # of the labels
    # Share of a task over which the weight of the clustering rises from 0 to 1: until the labels
    # have placed new prototypes, assignments would fix classes at random.
    ramp: float
    # Columns that an unlabelled view is classified among: `current` compares the task's own
    # prototypes, `seen` also tells its images from old classes.
    against: str
    queue: int  # earlier embeddings of each large view, of this task, that share the balance
    queue_from: int  # epoch of a task from which the queue is filled; it is used once full
    # Momentum of an EMA network, at the start and the end of a task, which then makes the
    # assignments, fills the queue and predicts; empty for none.
    teacher: Sequence[float]
    labelled_small_views: int = 0  # of each labelled image
    mix_labelled: bool  # whether each step has the labelled images mixed with each other besides
    mix_large: bool  # whether the first large view, mixed with the second of others, is one more
    # What the mixed view counts for beside the others: its `rows`, or one, as in the official
    # code, which counts `views` there.
    mix_weight: str
    # How much each class is to be used: `even`, as the `labels` are, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reweighs = not self.mix_labelled  # a mixed row would count for a pair
        enough_views(self.large_views)
        self.share = Prior(self.prior)
        self.shares = Shares(
            "prototypes",
            epsilon=self.epsilon,
            iterations=self.iterations,
            queue=self.queue,
            queue_from=self.queue_from,
            assign=self.assign,
            beta=self.beta,
        )
        mixes = self.mix_large and self.large_views
        self.needs = self.asks(
            "projector",
            "prototypes",
            teacher=self.teacher or None,
            views={
                **labelled_small(self.labelled_small_views),
                **(mixed_labelled() if self.mix_labelled else {}),
                **({"mixed_large": View(rows="unlabelled", mix=FIRST)} if mixes else {}),
            },
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` and ``labels``, each weighted by its share of the sample views."""
        losses: dict[str, tuple[Tensor, int | Tensor]] = {}
        if "large" in step.seen:
            loss, rows = self._clustering(step)
            losses["clustering"] = loss * step.risen(self.ramp), rows
        if any(name in step.seen for name in LABELLED):
            losses["labels"] = labelled_cross_entropy(
                step, "prototypes", temperature=self.temperature, smoothing=self.smoothing
            )
        return by_rows(losses)

    def _clustering(self, step: Step) -> tuple[Tensor, int]:
        """The mean over all unlabelled rows, mixed ones included, and how many these are."""
        slow = self.needs.teacher is not None
        decides = step.teacher("large") if slow else step.student("large")
        large, wanted = step.student("large"), None
        if large is not None:
            wanted = self.share.of_scores(
                large["prototypes"], temperature=self.temperature, columns=step.columns
            )
        targets = self.shares(step, decides, step.columns, wanted)
        assert decides is not None
        targets = self.soft_classes(step, decides, targets)
        scores, aims = self._compared(step, step.views("prototypes"), targets)
        loss = swapped_cross_entropy(
            scores, aims, batch_size=step.batch_size, temperature=self.temperature
        )
        seen = step.seen.get("mixed_large")
        if seen is None or seen.student is None:
            return loss, len(scores)
        more = step.batch_size if self.mix_weight == "rows" else 1
        rows = len(scores) + more
        mixed = self._mixed(step, seen.student, seen.share, targets)
        return loss * (len(scores) / rows) + mixed * (more / rows), rows

    def _mixed(self, step: Step, mixed: Outputs, share: float | Tensor, targets: Tensor) -> Tensor:
        """A mixed image is to be in the classes of the first view and of its partner's second."""
        first, second = torch.split(targets, step.batch_size)[:2]
        blend = share * first + (1 - share) * second.flip(0)
        scores, blend = self._compared(step, mixed["prototypes"], blend)
        return soft_cross_entropy(scores, blend, temperature=self.temperature)

    def _compared(self, step: Step, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and targets of the columns that are compared."""
        if self.against == "seen":
            everywhere = targets.new_zeros(len(targets), step.num_seen)
            return scores, everywhere.index_copy(1, step.columns, targets)
        return scores[:, step.columns], targets

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Cosines with the prototypes, over the temperature."""
        return outputs["prototypes"] / self.temperature

"""Daino: DINO whose clusters are the classes, learned from labels and from a slow copy.

Source: Fini et al. 2023, "Semi-supervised learning made simple with self-supervised clustering".
Labelled images are classified by the prototypes; each view of an unlabelled image predicts what
the teacher, centred, says of its other large views. In a stream only the current task's
prototypes take part in the latter, and the centre has one entry more for each new class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from contsemi.blocks.centre import Centre
from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import UNMIXED, by_rows, labelled_cross_entropy, mixed_labelled
from contsemi.blocks.prior import Prior
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.models.heads import prototypes
from contsemi.objectives.indexed import Indexed
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Daino(Indexed):
    """Self-distillation with a centred teacher, which sees the large views and predicts."""

    idle: ClassVar = {
        **Indexed.of_large,
        **UNMIXED,
        **Centre.idle,
        **{
            key: {"large_views": [0]}
            for key in ("weights.clustering", "ramp", "prior", "small_views")
        },
    }

    directions: str  # gain: each prototype learns a factor of its scores; weight_norm: not
    temperature: float  # of the student, also for labels
    teacher: Sequence[float]  # momentum of the EMA network at the start and the end of a task
    teacher_temperature: Sequence[float]  # at the first epoch of a task and after the warm-up
    teacher_warmup: int  # epochs of that warm-up, which is linear; 0 has the last one at once
    centre_momentum: float  # share of the centre kept in each step
    smoothing: float  # of the labels
    # Share of a task over which the weight of the clustering rises from 0 to 1: until the labels
    # have placed new prototypes, the teacher would fix classes at random.
    ramp: float
    mix_labelled: bool  # whether each step has the labelled images mixed with each other besides
    # How much each class is to be used: `even`, as the `labels` are, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reweighs = not self.mix_labelled  # a mixed row would count for a pair
        enough_views(self.large_views)
        self.share = Prior(self.prior)
        self.centre = Centre(
            "prototypes",
            momentum=self.centre_momentum,
            temperature=self.teacher_temperature,
            warmup=self.teacher_warmup,
        )
        self.needs = self.asks(
            "projector",
            prototypes(self.directions),
            teacher=self.teacher,
            views=mixed_labelled() if self.mix_labelled else {},
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` and ``labels``, each weighted by its share of the sample views."""
        losses: dict[str, tuple[Tensor, int | Tensor]] = {}
        large = step.student("large")
        if large is not None:
            scores = step.views("prototypes")[:, step.columns]
            wanted = self.share.of_scores(
                large["prototypes"], temperature=self.temperature, columns=step.columns
            )
            targets, slow = self.centre(step, wanted), step.teacher("large")
            assert slow is not None
            loss = swapped_cross_entropy(
                scores,
                self.soft_classes(step, slow, targets),
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
            losses["clustering"] = loss * step.risen(self.ramp), len(scores)
        if "labelled" in step.seen:
            losses["labels"] = labelled_cross_entropy(
                step, "prototypes", temperature=self.temperature, smoothing=self.smoothing
            )
        return by_rows(losses)

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The prototypes' scores, over the temperature."""
        return outputs["prototypes"] / self.temperature

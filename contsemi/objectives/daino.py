"""Daino: DINO whose clusters are the classes, learned from labels and from a slow copy.

Source: Fini et al. 2023, "Semi-supervised learning made simple with self-supervised clustering".
Labelled images are classified by the prototypes; each view of an unlabelled image predicts what
the teacher, centred, says of its other large views. In a stream only the current task's
prototypes take part in the latter, and the centre has one entry more for each new class.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contsemi.assign.centre import centred_softmax, linear
from contsemi.losses.labelled import labelled_cross_entropy
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.objectives.objective import Objective, ema_momenta, enough_views, one_of
from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Daino"]


class Daino(Objective):
    """Self-distillation with a centred teacher, over prototypes tied to classes.

    Args:
        directions: ``gain`` where each prototype learns a factor of its scores, ``weight_norm``
            where it does not (``norm_last_layer`` of the official code).
        temperature: of the student, also for labels.
        teacher: momentum of the EMA network, which predicts, at the start and the end of a task.
        teacher_temperature: at the first epoch of a task and after the warm-up.
        teacher_warmup: epochs of that warm-up, which is linear; 0 has the last temperature at once.
        centre_momentum: share of the centre kept in each step.
        smoothing: of the labels.
        large_views, small_views: of each unlabelled image; the teacher sees the large ones.
        labelled_views: of each labelled image.
        supports_per_class: labelled images per seen class and step; 0 draws them uniformly.
        ramp: share of a task over which the weight of the clustering rises from 0 to 1: until
            the labels have placed new prototypes, the teacher would fix classes at random.
        mix_labelled: whether each step has the labelled images mixed with each other besides.
    """

    centre: Tensor

    def __init__(
        self,
        *,
        directions: str,
        temperature: float,
        teacher: Sequence[float],
        teacher_temperature: Sequence[float],
        teacher_warmup: int,
        centre_momentum: float,
        smoothing: float,
        large_views: int,
        small_views: int,
        labelled_views: int,
        supports_per_class: int,
        ramp: float,
        mix_labelled: bool,
    ) -> None:
        super().__init__()
        one_of("directions", directions, "gain", "weight_norm")
        enough_views(large_views)
        self.temperature, self.smoothing, self.ramp = temperature, smoothing, ramp
        self.teacher_temperature, self.teacher_warmup = teacher_temperature, teacher_warmup
        self.centre_momentum = centre_momentum
        self.register_buffer("centre", torch.zeros(0))
        self._next: Tensor | None = None
        self.needs = Needs(
            heads=("projector", "prototypes"),
            directions=directions,
            labelled_views=labelled_views,
            large_views=large_views,
            small_views=small_views,
            supports_per_class=supports_per_class,
            labelled_from="all",
            teacher=ema_momenta(teacher, required=True),
            mix_labelled=mix_labelled,
        )

    def begin(self, experience: Experience) -> None:
        """The centre of a new class starts at zero."""
        new = self.centre.new_zeros(experience.num_seen - len(self.centre))
        self.centre = torch.cat([self.centre, new])

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` and ``labels``, each weighted by its share of the sample views."""
        views = [part["prototypes"] for part in (step.large, step.small) if part is not None]
        rows, labels, labelled_rows = sum(map(len, views)), None, 0
        if step.labelled is not None:
            labels, labelled_rows = labelled_cross_entropy(
                step, "prototypes", temperature=self.temperature, smoothing=self.smoothing
            )
        total = rows + labelled_rows
        terms = {}
        if views and step.teacher is not None and step.batch_size:
            risen = min(1.0, step.progress / self.ramp) if self.ramp else 1.0
            loss = swapped_cross_entropy(
                torch.cat(views)[:, step.columns],
                self._targets(step, step.teacher),
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
            terms["clustering"] = loss * (rows / total) * risen
        if labels is not None:
            terms["labels"] = labels * labelled_rows / total
        return terms

    def _targets(self, step: Step, teacher: Outputs) -> Tensor:
        """What the teacher says of the large views, among the task's own classes [A * B, C_t]."""
        start, end = self.teacher_temperature
        targets, centre = centred_softmax(
            teacher["prototypes"][:, step.columns],
            self.centre[step.columns],
            temperature=linear(step.epoch, steps=self.teacher_warmup, start=start, end=end),
            momentum=self.centre_momentum,
        )
        self._next = self.centre.to(centre.dtype).index_copy(0, step.columns, centre)
        return targets

    def after_step(self) -> None:
        """The centre follows the scores of the step that was taken."""
        if self._next is not None:
            self.centre, self._next = self._next, None

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The prototypes' scores, over the temperature."""
        return outputs["prototypes"] / self.temperature

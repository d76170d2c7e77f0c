"""Dynamic distillation: a slow network's sharpened classes of weak views teach the strong ones.

Source: Islam et al. 2021, "Dynamic distillation network for cross-domain few-shot recognition with
unlabeled data". No threshold: all unlabelled images count from the first step on, at a weight that
rises. The slow network lives on from task to task, or begins anew with the network as it then is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.blocks.choices import ema_momenta
from contsemi.blocks.labelled import labels_term
from contsemi.losses.cross_entropy import soft_cross_entropy
from contsemi.losses.numerics import wide
from contsemi.losses.ramps import cosine_ramp
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Needs, Step, Teacher, View


@dataclass(kw_only=True, eq=False)
class Dynamic(Objective):
    """Labels, and soft classes of a slow network."""

    idle: ClassVar = {"centre_twice": {"centre_momentum": [0]}}

    teacher: Sequence[float]  # its momenta at the start and at the end of a task
    teacher_temperature: float  # divides its logits
    # Its running statistics: `averaged` like its weights, or as released its `own`: it then runs on
    # those of the batch
    teacher_buffers: str = "averaged"
    at_border: str  # what becomes of it when a task begins: `keep`, or `reset` to the network
    ramp: bool  # whether the weight of the unlabelled images rises along a cosine
    centre_momentum: float  # of the mean that is taken off its logits; 0 for no such mean
    # The released code's slip: the mean follows logits that it was already taken off.
    centre_twice: bool
    among: str  # classes that an unlabelled image is of: `current` ones or all `seen`
    smoothing: float  # of the labels

    centre: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("centre", torch.zeros(0))
        self._next: Tensor | None = None
        self.needs = Needs(
            views={
                "labelled": View(rows="labelled", policy="weak", number=self.labelled_views),
                "weak": View(rows="unlabelled", policy="weak", seen_by=("teacher",)),
                "strong": View(rows="unlabelled", policy="strong"),
            },
            heads=("classifier",),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=Teacher(
                ema_momenta(self.teacher), self.teacher_buffers, restarts=self.at_border == "reset"
            ),
        )

    def begin(self, experience: Experience) -> None:
        """A task begins; the mean of a new class starts at zero."""
        super().begin(experience)
        new = self.centre.new_zeros(experience.num_seen - len(self.centre))
        self.centre = torch.cat([self.centre, new])

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels`` and ``distillation``."""
        terms = labels_term(step, smoothing=self.smoothing)
        slow, strong = step.teacher("weak"), step.student("strong")
        if slow is None or strong is None:
            return terms
        columns = step.columns if self.among == "current" else step.all_columns
        targets = self._targets(wide(slow["classifier"]), columns)
        loss = soft_cross_entropy(strong["classifier"][:, columns], targets, temperature=1.0)
        weight = cosine_ramp(step.progress) if self.ramp else 1.0
        return {**terms, "distillation": loss * weight}

    @torch.no_grad()
    def _targets(self, logits: Tensor, columns: Tensor) -> Tensor:
        """Probabilities among these classes."""
        if self.centre_momentum:
            centre = self.centre.to(logits)
            follows = logits - centre if self.centre_twice else logits
            self._next = torch.lerp(follows.mean(dim=0), centre, self.centre_momentum)
            logits = logits - centre
        return (logits[:, columns] / self.teacher_temperature).softmax(dim=1)

    def after_step(self) -> None:
        """The mean follows the step that was taken."""
        super().after_step()
        if self._next is not None:
            self.centre, self._next = self._next, None

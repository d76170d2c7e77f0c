"""The running mean of a teacher's scores, and what the teacher says with that mean taken off."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from contsemi.assign.centre import centred_softmax, linear
from contsemi.blocks.block import Block
from contsemi.types import Experience, Step


class Centre(Block):
    """Targets of self-distillation, and the mean score that keeps one class from winning all.

    Args:
        head: the head whose scores are centred.
        momentum: share of the mean that is kept in each step.
        temperature: of the teacher at the first epoch of a task and after the warm-up.
        warmup: epochs of that warm-up, which is linear; 0 has the last temperature at once.
        clusters: entries, where they stand for no class; else there is one for each class, from
            zero, and those of earlier tasks rest.

    Attributes:
        idle: what a part that takes these as its fields says of them (:class:`.discovery.Part`).
        value: [K], the mean.

    Source: Caron et al. 2021, eq. 4 (DINO).
    """

    idle: ClassVar[dict[str, dict[str, list[Any]]]] = {
        key: {"large_views": [0]}
        for key in ("teacher_temperature", "teacher_warmup", "centre_momentum")
    }
    value: Tensor

    def __init__(
        self,
        head: str,
        *,
        momentum: float,
        temperature: Sequence[float],
        warmup: int,
        clusters: int = 0,
    ) -> None:
        super().__init__()
        self.head, self.momentum, self.warmup = head, momentum, warmup
        self.start, self.final = temperature
        self.by_class = not clusters
        self.register_buffer("value", torch.zeros(clusters))
        self._next: Tensor | None = None

    def begin(self, experience: Experience) -> None:
        """The mean of a new class starts at zero."""
        if self.by_class:
            new = self.value.new_zeros(experience.num_seen - len(self.value))
            self.value = torch.cat([self.value, new])

    def forward(self, step: Step, prior: Tensor | None = None) -> Tensor:
        """What the teacher says of the large views [A * B, K], among the task's own classes.

        Args:
            step: the step.
            prior: [K] > 0, how much each is used; ``None`` for evenly.

        Raises:
            ValueError: the step has no teacher.
        """
        teacher = step.teacher("large")
        if teacher is None:
            raise ValueError("a step without the slow network that is to be the teacher")
        scores, value = teacher[self.head], self.value
        if self.by_class:
            scores, value = scores[:, step.columns], value[step.columns]
        warmth = linear(step.epoch, steps=self.warmup, start=self.start, end=self.final)
        targets, after = centred_softmax(
            scores, value, temperature=warmth, momentum=self.momentum, prior=prior
        )
        if self.by_class:
            after = self.value.to(after.dtype).index_copy(0, step.columns, after)
        self._next = after
        return targets

    def after_step(self) -> None:
        """The mean follows the scores of the step that was taken."""
        if self._next is not None:
            self.value, self._next = self._next, None

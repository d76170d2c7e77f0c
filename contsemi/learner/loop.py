"""The one training loop. Everything that watches or changes a step does so through hooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from contsemi.devices.room import out_of_memory, outside_torch
from contsemi.errors import StepTooLarge
from contsemi.stores.store import Images
from contsemi.types import Batch, Experience, Step

if TYPE_CHECKING:
    from contsemi.learner.learner import Learner


@dataclass(slots=True)
class Loop:
    """The state of the running loop, which hooks see and may change.

    Attributes:
        learner: what is trained.
        epoch, iteration: where in the task.
        batch, step, loss, terms: of the current iteration; ``terms`` are detached by nobody.
        stop: set it to leave the task after this iteration.
    """

    learner: "Learner"
    epoch: int = 0
    iteration: int = 0
    batch: Batch | None = None
    step: Step | None = None
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    terms: dict[str, Tensor] = field(default_factory=dict)
    stop: bool = False

    @property
    def task(self) -> int:
        """The task in training, from 0."""
        experience = self.learner.experience
        assert experience is not None
        return experience.index


class Hooks:
    """What may happen between the parts of an iteration; names and order are Avalanche's."""

    def before_training_epoch(self, loop: Loop) -> None:
        """An epoch begins."""

    def before_training_iteration(self, loop: Loop) -> None:
        """``loop.batch`` is there."""

    def before_forward(self, loop: Loop) -> None:
        """The networks are about to run."""

    def after_forward(self, loop: Loop) -> None:
        """``loop.step`` is there."""

    def before_backward(self, loop: Loop) -> None:
        """``loop.loss`` and ``loop.terms`` are there; the loss may be replaced."""

    def after_backward(self, loop: Loop) -> None:
        """Gradients are there."""

    def before_update(self, loop: Loop) -> None:
        """The optimiser is about to step."""

    def after_update(self, loop: Loop) -> None:
        """The optimiser has stepped."""

    def after_training_iteration(self, loop: Loop) -> None:
        """The iteration is over."""

    def after_training_epoch(self, loop: Loop) -> None:
        """The epoch is over."""

    def after_training_exp(self, loop: Loop) -> None:
        """The task's last step is over; nothing is kept of the task yet."""


class HookList(Hooks):
    """Several hooks as one; each event reaches them in order.

    Args:
        hooks: the hooks.
    """

    def __init__(self, hooks: Sequence[Hooks]) -> None:
        for event in [name for name in vars(Hooks) if name.startswith(("before", "after"))]:
            # Only hooks that do something at an event are called at it.
            active = [
                getattr(hook, event)
                for hook in hooks
                if getattr(type(hook), event) is not getattr(Hooks, event)
                or isinstance(hook, HookList)
            ]
            setattr(self, event, active[0] if len(active) == 1 else _call_each(active))


def _call_each(active: list[Any]) -> Any:
    def call(loop: Loop) -> None:
        for each in active:
            each(loop)

    return call


def fit(
    learner: "Learner",
    experience: Experience,
    images: Images,
    hooks: Hooks | None = None,
    start: tuple[int, int] | None = None,
) -> None:
    """Trains on one task.

    Args:
        learner: what is trained.
        experience: the task.
        images: uint8 [N, 3, S, S], or a store: what its indices point into.
        hooks: what else happens in each iteration.
        start: (epoch, iteration) to go on from, for a learner whose state was restored inside
            this task; ``None`` begins the task.

    Raises:
        StepTooLarge: the device has no memory for a step; the learner is of no use any more.
    """
    hooks = hooks or Hooks()
    if start is None:
        learner.begin(experience, images)
    loop = Loop(learner)
    first_epoch, first_iteration = start or (0, 0)
    for loop.epoch in range(first_epoch, learner.epochs):
        hooks.before_training_epoch(loop)
        if loop.stop:
            break
        for loop.iteration in range(first_iteration, learner.steps_per_epoch):
            try:
                _iterate(learner, loop, hooks)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                again = outside_torch(error)
                device, ranks = str(learner.device), learner.ranks.size
                raise StepTooLarge(device, learner.pieces, ranks, again=again) from error
            if loop.stop:
                break
        first_iteration = 0
        hooks.after_training_epoch(loop)
    hooks.after_training_exp(loop)
    learner.end()


def _iterate(learner: "Learner", loop: Loop, hooks: Hooks) -> None:
    loop.batch = learner.batch(loop.epoch, loop.iteration)
    hooks.before_training_iteration(loop)
    hooks.before_forward(loop)
    loop.step = learner.forward(loop.batch)
    hooks.after_forward(loop)
    loop.loss, loop.terms = learner.loss(loop.step)
    hooks.before_backward(loop)
    learner.backward(loop.loss)
    hooks.after_backward(loop)
    hooks.before_update(loop)
    learner.update()
    hooks.after_update(loop)
    hooks.after_training_iteration(loop)

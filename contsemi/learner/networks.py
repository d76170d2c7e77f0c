"""The network that is trained, its slow copy, and the frozen ones of earlier tasks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contsemi.learner.schedules import cosine
from contsemi.learner.seeing import Forwards
from contsemi.models.ema import Ema, frozen_copy
from contsemi.models.network import Network, freeze_batch_norm
from contsemi.seeding import generator
from contsemi.types import Forward, Needs


class Networks:
    """All networks of a run.

    Args:
        student: the network that is trained.
        needs: whether there is an EMA copy, and how it follows.
        pasts: frozen networks to keep.

    Attributes:
        student: the network that is trained.
        teacher: its EMA copy; ``None`` before the first task, or without one.
        pasts: the frozen networks of the ends of earlier tasks, the newest first.
        start: the student as the task began, frozen; ``None`` where nobody asks for it.
    """

    def __init__(self, student: Network, needs: Needs, pasts: int) -> None:
        self.student, self.keep = student, pasts
        self.follows = needs.teacher
        self.teacher: Ema | None = None
        self.pasts: tuple[Network, ...] = ()
        self._begins = needs.start > 0
        self.start: Network | None = None

    @property
    def predicting(self) -> Network:
        """The network that predicts: the EMA copy where there is one."""
        return self.student if self.teacher is None else self.teacher.network

    def by_name(self, name: str) -> Network:
        """The ``student``, the ``teacher``, the newest ``past``, or the one that is ``predicting``.

        Raises:
            ValueError: there is none.
        """
        found = {
            "student": self.student,
            "predicting": self.predicting,
            "teacher": None if self.teacher is None else self.teacher.network,
            "past": self.pasts[0] if self.pasts else None,
        }.get(name)
        if found is None:
            raise ValueError(f"there is no network {name!r} here")
        return found

    def grow(self, num_classes: int, draw: torch.Generator) -> None:
        """More classes, drawn for the student; the teacher gets the same."""
        self.student.grow(num_classes, draw)
        self.start = frozen_copy(self.student) if self._begins else None
        how = self.follows
        if how is None:
            return
        if self.teacher is None or how.restarts:
            first = how.momentum[0]
            self.teacher = Ema(self.student, first, buffers=how.buffers, shrink=how.shrink)
        else:
            self.teacher.grow(self.student)

    def train(self, *, frozen: bool) -> None:
        """Training mode, with batch statistics or, ``frozen``, with those that BatchNorm has."""
        if not self.student.training:  # to set all modules anew in each step takes a while
            self.student.train()
        if frozen:
            freeze_batch_norm(self.student)
            if self.teacher is not None:  # which gathers statistics of its own
                freeze_batch_norm(self.teacher.network)

    def follow(self, done: int, total: int) -> None:
        """The teacher follows the student, whose optimiser has stepped.

        Args:
            done: steps of the task before this one.
            total: steps of the task.
        """
        if self.teacher is not None and self.follows is not None:
            start, end = self.follows.momentum
            self.teacher.momentum = cosine(done, total_steps=total, start=start, end=end)
            self.teacher.update(self.student)

    def freeze(self) -> None:
        """A task is over: the network that predicts is the newest past, where one is kept."""
        if self.keep:
            self.pasts = (frozen_copy(self.predicting), *self.pasts)[: self.keep]

    def runs(self, run: Callable[[Network], Forward], needs: Needs, progress: float) -> Forwards:
        """What runs the networks of a step.

        Args:
            run: makes it of a network.
            needs: which of the frozen ones.
            progress: share of the task's steps that are done.
        """
        begun = self.start if progress < needs.start else None
        return Forwards(
            student=run(self.student),
            teacher=None if self.teacher is None else run(self.teacher.network),
            pasts=[run(past) for past in self.pasts[: needs.pasts]],
            start=None if begun is None else run(begun),
        )

    # State

    def state(self) -> dict[str, dict[str, Any]]:
        """The networks by name; of the older frozen ones the classes that they know, too."""
        state = {
            "network": self.student.state_dict(),
            "teacher": self.teacher.network.state_dict() if self.teacher else {},
            "past": self.pasts[0].state_dict() if self.pasts else {},
            "start": self.start.state_dict() if self.start else {},
        }
        for age, past in enumerate(self.pasts[1:], start=2):
            classes = torch.tensor(past.num_classes)
            state[f"past_{age}"] = {**past.state_dict(), "num_classes": classes}
        return state

    def restore_pasts(self, state: dict[str, Any], newest: int) -> None:
        """Makes the frozen networks anew; the student grows to what they know.

        Args:
            state: of :meth:`state`.
            newest: classes that the newest one knows.
        """
        found: list[Network] = []
        names = [f"past_{age}" for age in range(self.keep, 1, -1)]
        for name in [*(name for name in names if state.get(name)), "past"]:
            values: dict[str, Tensor] = dict(state.get(name, {}))
            if not values:
                continue
            classes = int(values.pop("num_classes", torch.tensor(newest)))
            self.student.grow(classes, generator(0, "restore"))
            past = frozen_copy(self.student)
            past.load_state_dict(values)
            found.insert(0, past)
        self.pasts = tuple(found)

    def restore(self, state: dict[str, Any]) -> None:
        """Takes the weights of student and teacher back; both have the classes of the state."""
        self.student.load_state_dict(state.get("network", {}))
        if self.teacher is not None:
            self.teacher.network.load_state_dict(state["teacher"])
        if self.start is not None and state.get("start"):
            self.start.load_state_dict(state["start"])

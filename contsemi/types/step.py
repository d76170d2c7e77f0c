"""One step of training: its images, and what the networks say of their views."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from contsemi.types.outputs import Outputs


class ByAge(NamedTuple):
    """Places among the labelled rows of a step, the same ones in every step of a task.

    Attributes:
        current: int64, of the columns that the unlabelled images may be of.
        old: int64, of classes of earlier tasks.
    """

    current: Tensor
    old: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The images of one step, before augmentation, on the device.

    Where several processes train together, each has the images of its share of the rows, and all
    else of every row.

    Attributes:
        images: uint8 [n, 3, S, S] of each kind: ``labelled``, ``unlabelled``, and ``coarse``, of
            which only the coarse label is known; n may be 0.
        cut: name of a view -> uint8 [V * n, 3, s, s], its crops where they were cut from images as
            they are; the images above may then be missing.
        coarse: int64 [n], the coarse classes of the kinds ``labelled`` and ``coarse``, -1 unknown.
        labels, labelled_ids, unlabelled_ids, places, label_weights, by_age: as in :class:`Step`.
    """

    images: Mapping[str, Tensor]
    labels: Tensor
    labelled_ids: Tensor
    unlabelled_ids: Tensor
    places: Tensor
    coarse: Mapping[str, Tensor] = field(default_factory=dict)
    label_weights: Tensor | None = None
    by_age: ByAge | None = None
    cut: Mapping[str, Tensor] = field(default_factory=dict)

    def count(self, rows: str) -> int:
        """How many images of one kind all processes have."""
        if rows == "unlabelled":
            return len(self.unlabelled_ids)
        return len(self.labels) if rows == "labelled" else len(self.coarse[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One kind of views, as the networks saw it; rows are view-major.

    Attributes:
        student: outputs of the network that is trained; ``None`` if it does not see these views.
        teacher: of the EMA network, no gradient.
        past: of the frozen networks, the newest first, no gradient; empty in the first task.
        start: of the network that the task began with, no gradient; ``None`` where nobody asks.
        rows: of which images: ``unlabelled``, ``labelled`` or ``coarse``.
        number: V, views of each image.
        coarse: int64, the coarse classes of the images, -1 unknown; ``None`` of unlabelled ones.
        share: of a mixed row: what the row itself has in it; 1 - share is its partner's.
        partners: int64 [N], of mixed rows: the row of the pile that each is mixed with.
    """

    student: Outputs | None = None
    teacher: Outputs | None = None
    past: tuple[Outputs, ...] = ()
    start: Outputs | None = None
    rows: str = "unlabelled"
    number: int = 1
    coarse: Tensor | None = None
    share: float | Tensor = 1.0
    partners: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """All that an objective or a distiller gets to see of one training step.

    Attributes:
        seen: name of a view -> what the networks said of it; a name is absent where the step has
            no such rows.
        labels: int64 [L], columns, one per labelled row of one view.
        labelled_ids, unlabelled_ids: int64 stream-wide ids, [L] and [B].
        places: int64 [B], each unlabelled image's place in the task's pool, for tables by image.
        columns: int64 [C_t], the columns that the unlabelled images may be of: this task's classes,
            or all seen ones where the pool may hold others.
        num_old, num_seen: columns known before and including this task.
        progress: share of this task's steps already done, in [0, 1).
        epoch: epoch of this task, from 0.
        label_weights: float32 [L], for how many rows each labelled one stands, where not all
            classes come in a step (``batch.classes_per_step``); ``None`` for one each.
        draw: gives a generator for a purpose, on the device: a fresh one for each run, task, step
            and purpose, the same on every rank and after a resume.
        by_age: where among the L labelled rows those of the task's and of earlier classes are;
            ``None`` where the draw does not say so beforehand, and only the labels on the device
            could tell.
    """

    seen: Mapping[str, Seen]
    labels: Tensor
    labelled_ids: Tensor
    unlabelled_ids: Tensor
    places: Tensor
    columns: Tensor
    num_old: int
    num_seen: int
    progress: float
    draw: Callable[[str], torch.Generator]
    epoch: int = 0
    label_weights: Tensor | None = None
    by_age: ByAge | None = None

    @property
    def batch_size(self) -> int:
        """B, unlabelled images of this step."""
        return len(self.unlabelled_ids)

    @property
    def all_columns(self) -> Tensor:
        """int64 [num_seen], the columns of all classes seen."""
        return torch.arange(self.num_seen, device=self.columns.device)

    def student(self, name: str) -> Outputs | None:
        """What the trained network says of a kind of views; ``None`` where there are none."""
        return self.seen[name].student if name in self.seen else None

    def teacher(self, name: str) -> Outputs | None:
        """The same of the EMA network."""
        return self.seen[name].teacher if name in self.seen else None

    def with_past(self, rows: str | None = None, age: int = 0) -> list[tuple[Outputs, Outputs]]:
        """The present and the frozen outputs of the views that both networks saw.

        Args:
            rows: of one kind of images; ``None`` for all.
            age: of the frozen network: 0 for the newest.
        """
        return [
            (each.student, each.past[age])
            for each in self.seen.values()
            if each.student is not None and len(each.past) > age and rows in (None, each.rows)
        ]

    def with_start(self) -> list[tuple[Outputs, Outputs]]:
        """The same of the network that the task began with."""
        return [
            (each.student, each.start)
            for each in self.seen.values()
            if each.student is not None and each.start is not None
        ]

    def views(self, head: str, *names: str) -> Tensor:
        """What a head says of some kinds of views, one after the other, without those not there.

        Args:
            head: the head.
            names: of views; ``large`` and ``small`` if none is given.

        Raises:
            ValueError: all are absent.
        """
        found = [self.student(name) for name in names or ("large", "small")]
        parts = [part[head] for part in found if part is not None]
        if not parts:
            raise ValueError(f"a step without views {names or ('large', 'small')}")
        return torch.cat(parts)

    def in_each_view(self, rows: Tensor, name: str = "labelled") -> Tensor:
        """Places among the rows of all views of some of the images of one view."""
        number = self.seen[name].number if name in self.seen else 0
        views = torch.arange(
            0, number * len(self.labels), len(self.labels) or 1, device=rows.device
        )
        return (views[:, None] + rows).flatten()

    def risen(self, ramp: float) -> float:
        """A weight that rises from 0 to 1 over this share of the task; 0 has it at once."""
        return min(1.0, self.progress / ramp) if ramp else 1.0

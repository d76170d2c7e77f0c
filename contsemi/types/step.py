"""One step of training: its images, and what the networks say of their views."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from contsemi.types.outputs import MemoryRows, Outputs

__all__ = ["Batch", "ByAge", "Seen", "Step"]


class ByAge(NamedTuple):
    """Places among the labelled rows of a step, the same ones in every step of a task.

    Attributes:
        current: int64, of the columns that the unlabelled images may be of.
        old: int64, of classes of earlier tasks.
    """

    current: Tensor
    old: Tensor


_IMAGES = ("labelled", "unlabelled", "coarse_images", "cut")  # of a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The images of one step, before augmentation, on the device.

    Where several processes train together, each has the images of its share of the rows, and all
    else of every row.

    Attributes:
        labelled: uint8 [L, 3, S, S]; L may be 0.
        unlabelled: uint8 [B, 3, S, S]; B may be 0.
        coarse_images: uint8 [K, 3, S, S], of which only the coarse label is known.
        cut: name of a view -> uint8 [V * n, 3, s, s], its crops where they were cut from images as
            they are; the images above may then be missing.
        labels, from_memory, labelled_ids, unlabelled_ids, places, coarse, coarse_only,
        label_weights, by_age: as in :class:`Step`.
    """

    labelled: Tensor
    labels: Tensor
    from_memory: Tensor
    unlabelled: Tensor
    labelled_ids: Tensor
    unlabelled_ids: Tensor
    places: Tensor
    coarse: Tensor
    coarse_images: Tensor
    coarse_only: Tensor
    label_weights: Tensor | None = None
    by_age: ByAge | None = None
    cut: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What a step has of it, by name: all but the images."""
        return {name: getattr(self, name) for name in _FACTS}

    def of(self, rows: str) -> tuple[Tensor, int]:
        """The images of one kind that this process has, and how many all have."""
        return {
            "labelled": (self.labelled, len(self.labels)),
            "unlabelled": (self.unlabelled, len(self.unlabelled_ids)),
            "coarse": (self.coarse_images, len(self.coarse_only)),
        }[rows]


_FACTS = tuple(each.name for each in fields(Batch) if each.name not in _IMAGES)


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
        share: of a mixed row: what the row itself has in it; 1 - share is its partner's.
        partners: int64 [N], of mixed rows: the row of the pile that each is mixed with.
    """

    student: Outputs | None = None
    teacher: Outputs | None = None
    past: tuple[Outputs, ...] = ()
    start: Outputs | None = None
    rows: str = "unlabelled"
    number: int = 1
    share: float | Tensor = 1.0
    partners: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """All that an objective or a distiller gets to see of one training step.

    Attributes:
        seen: name of a view -> what the networks said of it; a name is absent where the step has
            no such rows.
        labels: int64 [L], columns, one per labelled row of one view.
        from_memory: bool [L], True for exemplars of earlier tasks.
        labelled_ids, unlabelled_ids: int64 stream-wide ids, [L] and [B].
        places: int64 [B], each unlabelled image's place in the task's pool, for tables by image.
        coarse: int64 [L], coarse classes of the labelled rows, -1 unknown.
        coarse_only: int64 [K], coarse classes of the rows ``coarse``.
        columns: int64 [C_t], the columns that the unlabelled images may be of: this task's classes,
            or all seen ones where the pool may hold others.
        num_old, num_seen: columns known before and including this task.
        progress: share of this task's steps already done, in [0, 1).
        epoch: epoch of this task, from 0.
        memory: rows of the embedding memory; ``None`` while it is empty.
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
    from_memory: Tensor
    labelled_ids: Tensor
    unlabelled_ids: Tensor
    places: Tensor
    coarse: Tensor
    coarse_only: Tensor
    columns: Tensor
    num_old: int
    num_seen: int
    progress: float
    draw: Callable[[str], torch.Generator]
    epoch: int = 0
    memory: MemoryRows | None = None
    label_weights: Tensor | None = None
    by_age: ByAge | None = None

    @property
    def batch_size(self) -> int:
        """B, unlabelled images of this step."""
        return len(self.unlabelled_ids)

    def student(self, name: str) -> Outputs | None:
        """What the trained network says of a kind of views; ``None`` where there are none."""
        return self.seen[name].student if name in self.seen else None

    def teacher(self, name: str) -> Outputs | None:
        """The same of the EMA network."""
        return self.seen[name].teacher if name in self.seen else None

    def pasts(self, name: str) -> tuple[Outputs, ...]:
        """The same of the frozen networks, the newest first."""
        return self.seen[name].past if name in self.seen else ()

    def with_past(self, rows: str | None = None) -> list[tuple[Outputs, Outputs]]:
        """The present and the newest frozen outputs of the views that both networks saw.

        Args:
            rows: of one kind of images; ``None`` for all.
        """
        return [
            (each.student, each.past[0])
            for each in self.seen.values()
            if each.student is not None and each.past and rows in (None, each.rows)
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

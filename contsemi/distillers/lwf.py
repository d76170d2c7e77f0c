"""Learning without forgetting: the network goes on telling the old classes apart as its past did.

Source: Li & Hoiem 2016, here on all images, labelled or not; task by task after the local
distillation of Smith et al. 2021, "Memory-efficient semi-supervised continual learning"
(DistillMatch).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from contsemi.distillers.distiller import Distiller
from contsemi.losses.distil import class_distillation
from contsemi.types import Experience, Needs, Step


@dataclass(kw_only=True, eq=False)
class LearningWithoutForgetting(Distiller):
    """Divergence from the frozen network's soft classes, among the old ones."""

    # Whose soft classes are kept: the classifier's or the prototypes', which the objective trains
    head: str
    temperature: float  # divides both networks' scores; no square of it multiplies the term
    # Whether each earlier task's classes are told apart among themselves alone, at a weight of
    # their share of all classes
    local: bool

    # Old classes are of columns [0, b1), [b1, b2), ...: one range for each task that brought some
    borders: list[int] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = Needs(heads=(self.head,), pasts=1, labelled_from="all")

    def begin(self, experience: Experience) -> None:
        """A task begins: the classes before it are old."""
        if experience.num_old > max(self.borders, default=0):
            self.borders.append(experience.num_old)

    def why_undone(self, tasks: Sequence[Experience], *, exemplars: bool) -> str | None:
        """Of one class there is nothing to tell apart."""
        if why := super().why_undone(tasks, exemplars=exemplars):
            return why
        borders = sorted({0, *(task.num_old for task in tasks)})
        if borders[-1] < 2:
            return "there is never more than one old class, and one is not told from any"
        if self.local and all(last - first < 2 for first, last in pairwise(borders)):
            return "local=true tells the classes of a task apart, and each earlier one brought one"
        return None

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``classes``: over all images that both networks saw."""
        pairs = step.with_past()
        if not (pairs and step.num_old):
            return {}
        now = torch.cat([present[self.head] for present, _ in pairs])
        then = torch.cat([past[self.head] for _, past in pairs])
        parts = [
            share * class_distillation(now[:, some], then[:, some], temperature=self.temperature)
            for some, share in self._ranges(step.num_old, step.num_seen)
        ]
        return {"classes": torch.stack(parts).sum()}

    def _ranges(self, old: int, seen: int) -> Iterator[tuple[slice, float]]:
        """Columns that are told apart among themselves, and the weight of that."""
        if not self.local:
            yield slice(0, old), 1.0
            return
        for first, last in zip([0, *self.borders], self.borders, strict=False):
            yield slice(first, last), (last - first) / seen

    def get_extra_state(self) -> dict[str, Tensor]:
        """Which classes came together."""
        return {"borders": torch.tensor(self.borders, dtype=torch.int64)}

    def set_extra_state(self, state: Any) -> None:
        """Takes back what :meth:`get_extra_state` gave."""
        self.borders = state["borders"].tolist()

"""t-ReX: a classifier on an expendable projector, its classes learned or remembered.

Source: Sariyildiz et al. 2023, "No reason for no supervision". Plain, each class has a learned
direction; with a memory (t-ReX*) it is the direction of the sum of a slow network's stored outputs.
Here these are rings by class, so that old classes stay, and replayed images renew theirs; a class
of which nothing is stored takes no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contsemi.blocks.choices import ema_momenta
from contsemi.blocks.class_rows import ClassRows
from contsemi.errors import InputError
from contsemi.losses.numerics import wide
from contsemi.models.expendable import normalised_projector
from contsemi.models.heads import Classifier, Head, Prototypes
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step, Teacher, View

NO_CLASS = -2.0  # below every cosine
LOWEST = -1e30


@dataclass(kw_only=True, eq=False)
class Trex(Objective):
    """Cross-entropy of all crops of labelled images, by cosines with one direction a class."""

    idle: ClassVar = {
        **{key: {"memory": [0]} for key in ("one_queue", "drop_overflow", "absent_as_zero")},
        "noisy_start": {"memory": [0], "one_queue": [False]},
        "hidden": {"hidden_layers": [0]},
    }

    temperature: float  # of the cosines; 0, without a memory, for a linear layer instead
    memory: int  # stored rows of each class; 0 learns the directions
    hidden_layers: int  # of the projector
    hidden: int  # their width
    size: int  # of the projector's output
    teacher: Sequence[float]  # momenta of the slow network that fills the memory; empty without one
    one_queue: bool  # as released: one queue of `memory` rows for all classes
    drop_overflow: bool  # as released: rows that do not fit before its end are thrown away
    noisy_start: bool = False  # as released: that queue begins with noise of random classes
    absent_as_zero: bool  # as released: cosine 0 with each class of which nothing is stored

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.memory) != bool(self.teacher) or (self.memory and not self.temperature):
            raise InputError(
                "objective.memory",
                f"memory={self.memory}, teacher={list(self.teacher)}, temperature="
                f"{self.temperature} do not go together",
                "a memory needs a teacher and a temperature; without one set teacher=[]",
            )
        self.stored = self._bank() if self.memory else None
        project = Head(
            name="expendable",
            on="features",
            build=lambda width, draw: normalised_projector(
                width, layers=self.hidden_layers, hidden=self.hidden, size=self.size
            ),
        )
        seen_by = ("student", "teacher") if self.memory else ("student",)
        self.needs = Needs(
            views={
                "labelled": View(
                    rows="labelled", policy="large", number=self.labelled_views, seen_by=seen_by
                ),
                **(
                    {"crops": View(rows="labelled", policy="small", number=self.small_views)}
                    if self.small_views
                    else {}
                ),
            },
            heads=(project,) if self.memory else (project, self._classes()),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=Teacher(ema_momenta(self.teacher)) if self.memory else None,
        )

    def _bank(self) -> ClassRows:
        return ClassRows(
            "expendable",
            self.memory,
            one_queue=self.one_queue,
            drop_overflow=self.drop_overflow,
            noise=self.size if self.noisy_start and self.one_queue else 0,
        )

    def _classes(self) -> Head:
        """The learned directions, one for each class."""

        def build(width: int, draw: torch.Generator) -> nn.Module:
            return Prototypes(width, "weight_norm") if self.temperature else Classifier(width)

        return Head(name="classes", on="expendable", build=build, per_class=True)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels``, the mean over all crops whose class has a direction."""
        parts = [step.student(name) for name in ("labelled", "crops")]
        crops = [part for part in parts if part is not None]
        if not crops:
            return {}
        scores = torch.cat([self._scores(part) for part in crops])
        labels = step.labels.repeat(len(scores) // len(step.labels))
        rows = F.cross_entropy(scores / (self.temperature or 1.0), labels, reduction="none")
        counts = torch.ones_like(rows)
        if self.stored is not None and not self.absent_as_zero:
            counts = self.stored.directions()[1][labels].to(rows.dtype)
        slow = step.teacher("labelled")
        if self.stored is not None and slow is not None:
            first = slow["expendable"][: len(step.labels)]
            self.stored.hold(first, step.labels)
        return {"labels": (rows * counts).sum() / counts.sum().clamp(min=1)}

    def _scores(self, outputs: Outputs, absent: float = LOWEST) -> Tensor:
        """Scores [N, C] of all classes seen."""
        if self.stored is None:
            return wide(outputs["classes"])
        directions, there = self.stored.directions()
        with torch.autocast(directions.device.type, enabled=False):
            unit = F.normalize(wide(outputs["expendable"]), dim=1)
            if not directions.shape[1]:  # nothing was ever stored
                directions = unit.new_zeros(len(directions), unit.shape[1])
            scores = unit @ directions.to(unit).T
        return scores if self.absent_as_zero else scores.masked_fill(~there, absent)

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Scores over the temperature; a class without a direction is the last choice."""
        return self._scores(outputs, NO_CLASS) / (self.temperature or 1.0)

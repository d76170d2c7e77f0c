"""HierMatch: coarse labels teach, too, and leave the features of fine classes alone.

Source: Garg et al. 2022, "HierMatch", on MixMatch or on FixMatch. Each level has a part of the
features; see :class:`~contsemi.models.levels.LevelClassifier`. A coarse class may span tasks: an
unlabelled image may be of any coarse class, but of the fine classes of its task or of all seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.blocks.choices import ema_momenta
from contsemi.blocks.levels import Level, MixedLevels, SureLevels
from contsemi.errors import InputError
from contsemi.models.heads import Head
from contsemi.models.levels import LevelClassifier
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Needs, Outputs, Step, Teacher


@dataclass(kw_only=True, eq=False)
class HierMatch(Objective):
    """Two or three levels of classes, each learned from labels and from guesses."""

    idle: ClassVar = {
        **{key: {"teacher": [[]]} for key in ("teacher_buffers", "shrink")},
        **{key: {"base": ["fixmatch"]} for key in ("mixes", "guesses", "temperature", "alpha")},
        "threshold": {"base": ["mixmatch"]},
    }

    coarse_classes: int  # classes of the second level
    top: Sequence[int]  # the third level's class of each of them; empty for two levels
    base: str  # what each level is learned by: mixmatch or fixmatch
    among: str  # fine classes that an unlabelled image is of: `current` ones or all `seen`
    ramp: float  # share of a task over which the weight of the guesses rises from 0 to 1
    teacher: Sequence[float]  # momenta of the EMA network that predicts; empty for none
    teacher_buffers: str = "copied"  # its running statistics: `copied`, or as released `averaged`
    # As released: share that each step takes off the network, its statistics too
    shrink: float = 0.0
    # Of mixmatch:
    mixes: str  # `shared`: one pile of mixed images for all levels; `own`: one for each
    guesses: int  # weak views of an unlabelled image whose mean prediction is its guess
    temperature: float  # of the sharpening
    alpha: float  # of the share's Beta distribution
    # Of fixmatch:
    threshold: float  # least probability of a pseudo-label

    above: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top and len(self.top) != self.coarse_classes:
            raise InputError(
                "objective.top",
                f"{len(self.top)} entries for {self.coarse_classes} coarse classes",
                "name the third level's class of each coarse class, or leave it empty",
            )
        self.levels = ("fine", "coarse", "top") if self.top else ("fine", "coarse")
        self.register_buffer("above", torch.tensor([*self.top], dtype=torch.int64), False)
        self.by = SureLevels(threshold=self.threshold) if self.base == "fixmatch" else self._mixed()
        slow = None
        if self.teacher:
            slow = Teacher(ema_momenta(self.teacher), self.teacher_buffers, shrink=self.shrink)
        self.needs = Needs(
            views=self.by.views(),
            heads=tuple(self._head(level) for level in range(len(self.levels))),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=slow,
        )

    def _mixed(self) -> MixedLevels:
        return MixedLevels(
            levels=self.levels,
            shared=self.mixes == "shared",
            guesses=self.guesses,
            temperature=self.temperature,
            alpha=self.alpha,
        )

    def _head(self, level: int) -> Head:
        levels = len(self.levels)
        classes = (0, self.coarse_classes, 1 + max(self.top, default=0))[level]

        def build(width: int, draw: torch.Generator) -> LevelClassifier:
            return LevelClassifier(
                width, level=level, levels=levels, num_classes=classes, generator=draw
            )

        return Head(name=self.levels[level], on="features", build=build, per_class=not level)

    def begin(self, experience: Experience) -> None:
        """A task begins."""
        super().begin(experience)
        if experience.num_coarse > self.coarse_classes:
            raise InputError(
                "objective.coarse_classes",
                f"the images have {experience.num_coarse} coarse classes",
                f"set it to {experience.num_coarse}",
            )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels`` and ``guesses``, each the sum over the levels."""
        found = [self.by.losses(step, self._level(step, i)) for i in range(len(self.levels))]
        losses = [each for each in found if each is not None]
        if not losses:
            return {}
        labels, guesses = (torch.stack(part).sum() for part in zip(*losses, strict=True))
        return {"labels": labels, "guesses": guesses * step.risen(self.ramp)}

    def _level(self, step: Step, level: int) -> Level:
        labels = self._known(step, "labelled", level) if level else step.labels
        coarse_only = self._known(step, "coarse", level)
        columns = step.columns if not level and self.among == "current" else None
        return Level(self.levels[level], not level, labels, coarse_only, columns)

    def _known(self, step: Step, name: str, level: int) -> Tensor:
        """Coarse classes of the images of a view, or those above them; -1 stays unknown."""
        seen = step.seen.get(name)
        if seen is None or seen.coarse is None:
            return step.labels[:0]
        coarse = seen.coarse
        return coarse if level < 2 else torch.where(coarse < 0, -1, self.above[coarse])

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The logits of the finest level."""
        return outputs["fine"]

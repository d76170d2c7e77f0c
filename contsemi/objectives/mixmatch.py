"""MixMatch: all images mixed with each other, towards labels and sharpened guesses.

Source: Berthelot et al. 2019, "MixMatch". Labelled and unlabelled images make one pile; in a
stream the guesses are among the classes of the images' own task, or among all classes seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.assign.targets import guess_rows, label_rows
from contsemi.blocks.choices import ema_momenta
from contsemi.losses.mixed import mixed_losses
from contsemi.objectives.objective import Objective
from contsemi.types import Mix, Needs, Step, Teacher, View


@dataclass(kw_only=True, eq=False)
class MixMatch(Objective):
    """Cross-entropy of mixed labels, squared difference of mixed guesses."""

    idle: ClassVar = {key: {"teacher": [[]]} for key in ("teacher_buffers", "shrink")}

    guesses: int  # weak views of an unlabelled image whose mean prediction is its guess
    temperature: float  # of the sharpening
    alpha: float  # of the share's Beta distribution
    ramp: float  # share of a task over which the weight of the guesses rises from 0 to 1
    among: str  # classes that an unlabelled image is of: `current` ones or all `seen`
    teacher: Sequence[float]  # momenta of the EMA network that predicts; empty for none
    teacher_buffers: str = "copied"  # its running statistics: `copied`, or as released `averaged`
    # As released: share that each step takes off the network, its statistics too
    shrink: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        piled = ("labelled", "weak")
        mix = Mix(of=piled, partners="shuffled", alpha=self.alpha, larger_first=True)
        slow = None
        if self.teacher:
            slow = Teacher(ema_momenta(self.teacher), self.teacher_buffers, shrink=self.shrink)
        self.needs = Needs(
            views={
                "labelled": View(rows="labelled", policy="weak", seen_by=()),
                "weak": View(rows="unlabelled", policy="weak", number=self.guesses, gradient=False),
                "mixed": View(rows="unlabelled", mix=mix),
            },
            heads=("classifier",),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=slow,
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels`` and ``guesses``; whichever kind of images the step has."""
        mixed = step.seen.get("mixed")
        if mixed is None or mixed.student is None or mixed.partners is None:
            return {}
        logits, number = mixed.student["classifier"], len(step.labels)
        labels, guesses = mixed_losses(
            logits,
            torch.cat(self._own(step, logits)),
            partners=mixed.partners,
            share=mixed.share,
            labelled=torch.arange(len(logits), device=logits.device) < number,
        )
        terms = {"labels": labels} if number else {}
        if len(logits) > number:
            terms["guesses"] = guesses * step.risen(self.ramp)
        return terms

    def _own(self, step: Step, logits: Tensor) -> list[Tensor]:
        """The labels of the labelled images and the guesses of all views of the others."""
        own, weak = [label_rows(step.labels, logits)], step.student("weak")
        if weak is not None:
            columns = step.columns if self.among == "current" else None
            own.append(
                guess_rows(
                    weak["classifier"],
                    columns,
                    views=self.guesses,
                    temperature=self.temperature,
                )
            )
        return own

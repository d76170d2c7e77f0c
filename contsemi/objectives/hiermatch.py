"""HierMatch: coarse labels teach, too, and leave the features of fine classes alone.

Source: Garg et al. 2022, "HierMatch", on MixMatch. The features are split into a part a level; see
:class:`~contsemi.models.levels.LevelClassifier`. Images of which only the coarse class is known are
labelled for the coarse levels and unlabelled for the finest. A coarse class may span tasks: guesses
of coarse levels are among all coarse classes, those of the finest as in MixMatch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.assign.among import everywhere
from contsemi.assign.sharpen import guessed
from contsemi.blocks.choices import ema_momenta, one_of
from contsemi.errors import InputError
from contsemi.losses.mixed import mixed_losses
from contsemi.models.heads import Head
from contsemi.models.levels import LevelClassifier
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Mix, Needs, Outputs, Seen, Step, View

__all__ = ["HierMatch"]


@dataclass(kw_only=True, eq=False)
class HierMatch(Objective):
    """MixMatch on two or three levels of classes."""

    coarse_classes: int  # classes of the second level
    top: Sequence[int]  # the third level's class of each of them; empty for two levels
    mixes: str  # `shared`: one pile of mixed images for all levels; `own`: one for each
    guesses: int  # weak views of an unlabelled image whose mean prediction is its guess
    temperature: float  # of the sharpening
    alpha: float  # of the share's Beta distribution
    ramp: float  # share of a task over which the weight of the guesses rises from 0 to 1
    among: str  # fine classes that an unlabelled image is of: `current` ones or all `seen`
    teacher: Sequence[float]  # momenta of the EMA network that predicts; empty for none

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("mixes", self.mixes, "shared", "own")
        one_of("among", self.among, "current", "seen")
        if self.top and len(self.top) != self.coarse_classes:
            raise InputError(
                "objective.top",
                f"{len(self.top)} entries for {self.coarse_classes} coarse classes",
                "name the third level's class of each coarse class, or leave it empty",
            )
        self.levels = ("fine", "coarse", "top") if self.top else ("fine", "coarse")
        self.register_buffer("above", torch.tensor([*self.top], dtype=torch.int64), False)
        mix = Mix(
            of=("labelled", "coarse", "weak"),
            partners="shuffled",
            cut=False,
            alpha=self.alpha,
            larger_first=True,
        )
        own = self.levels if self.mixes == "own" else self.levels[:1]
        guess = {"policy": "weak", "gradient": False}
        self.needs = Needs(
            views={
                "labelled": View(rows="labelled", policy="weak", seen_by=()),
                "coarse": View(rows="coarse", **guess),
                "weak": View(rows="unlabelled", number=self.guesses, **guess),
                **{f"mixed_{level}": View(rows="unlabelled", mix=mix) for level in own},
            },
            heads=tuple(self._head(place) for place in range(len(self.levels))),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=ema_momenta(self.teacher) if self.teacher else None,
            teacher_buffers="copied" if self.teacher else None,
        )

    def _head(self, level: int) -> Head:
        levels = len(self.levels)
        classes = (0, self.coarse_classes, 1 + max(self.top, default=0))[level]

        def build(width: int, draw: torch.Generator) -> LevelClassifier:
            return LevelClassifier(
                width, level=level, levels=levels, num_classes=classes, generator=draw
            )

        return Head(
            name=self.levels[level], on="features", build=build, per_class=not level, detached=False
        )

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
        """``labels`` and ``guesses``, each the sum over the levels that something is known of."""
        labels, guesses = [], []
        for place, level in enumerate(self.levels):
            mixed = step.seen.get(f"mixed_{level}" if self.mixes == "own" else "mixed_fine")
            if mixed is None or mixed.student is None:
                continue
            entropy, apart = self._level(step, mixed.student, mixed, place)
            labels.append(entropy)
            guesses.append(apart * step.risen(self.ramp))
        if not labels:
            return {}
        return {"labels": torch.stack(labels).sum(), "guesses": torch.stack(guesses).sum()}

    def _level(self, step: Step, mixed: Outputs, seen: Seen, level: int) -> tuple[Tensor, Tensor]:
        """The two losses of one level."""
        logits = mixed[self.levels[level]]
        own, labelled = self._own(step, level, logits)
        return mixed_losses(
            logits,
            own,
            partners=seen.partners,
            share=seen.share,
            labelled=labelled,
            known=own.sum(dim=1) > 0,
        )

    def _own(self, step: Step, level: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """What the images by themselves are, zeros where nothing is known, and who has a label."""
        coarse, weak = step.student("coarse"), step.student("weak")
        parts = [(self._hot(self._at(step, level), logits), True)]
        if coarse is not None and level:
            parts.append((self._hot(self._above(step.coarse_only, level), logits), True))
        elif coarse is not None:
            parts.append((self._guess(step, coarse, level, logits, views=1), False))
        if weak is not None:
            parts.append((self._guess(step, weak, level, logits, views=self.guesses), False))
        labelled = [torch.full((len(own),), says, device=own.device) for own, says in parts]
        return torch.cat([own for own, _ in parts]), torch.cat(labelled)

    def _at(self, step: Step, level: int) -> Tensor:
        return self._above(step.coarse, level) if level else step.labels

    def _above(self, coarse: Tensor, level: int) -> Tensor:
        """Coarse classes, or those above them; -1 stays unknown."""
        return coarse if level == 1 else torch.where(coarse < 0, -1, self.above[coarse])

    def _hot(self, labels: Tensor, logits: Tensor) -> Tensor:
        hot = F.one_hot(labels.clamp(min=0), logits.shape[1])
        return (hot * (labels >= 0)[:, None]).to(torch.promote_types(logits.dtype, torch.float32))

    def _guess(
        self, step: Step, said: Outputs, level: int, logits: Tensor, *, views: int
    ) -> Tensor:
        """The sharpened mean over the views, once for each of them."""
        scores, classes = said[self.levels[level]], logits.shape[1]
        current = not level and self.among == "current"
        columns = step.columns if current else torch.arange(classes, device=logits.device)
        guess = guessed(
            scores[:, columns], batch_size=len(scores) // views, temperature=self.temperature
        )
        return everywhere(guess, columns, classes).repeat(views, 1)

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The logits of the finest level."""
        return outputs["fine"]

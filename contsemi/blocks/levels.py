"""What is learned of one level of classes: by mixed images (MixMatch), or by sure ones (FixMatch).

Levels are numbered from the finest, 0. For a level an image either has a label or is unlabelled:
one of which only a coarse class is known is unlabelled for level 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.assign.sure import sure_class
from contsemi.assign.targets import guess_rows, label_rows
from contsemi.losses.mixed import mixed_losses
from contsemi.losses.numerics import wide
from contsemi.losses.pseudo import pseudo_cross_entropy
from contsemi.types import Mix, Outputs, Step, View

Losses = tuple[Tensor, Tensor]  # of labels, and of guesses


@dataclass(frozen=True, slots=True)
class Level:
    """One level in one step.

    Attributes:
        name: of its head.
        finest: whether it is level 0.
        labels: int64 [L], of the labelled rows; -1 for unknown.
        coarse_only: int64 [Lc], of the rows of which only a coarse class is known; at level 0 these
            have no label.
        columns: int64 [K], classes that an unlabelled image may be of; ``None`` for all.
    """

    name: str
    finest: bool
    labels: Tensor
    coarse_only: Tensor
    columns: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedLevels:
    """MixMatch on every level.

    Attributes:
        levels: names of the levels.
        shared: whether there is one pile of mixed images for all levels, not one for each.
        guesses: weak views of an unlabelled image whose mean prediction is its guess.
        temperature: of the sharpening.
        alpha: of the share's Beta distribution.
    """

    levels: Sequence[str]
    shared: bool
    guesses: int
    temperature: float
    alpha: float

    def views(self) -> dict[str, View]:
        """What the network is to see."""
        piled = ("labelled", "coarse", "weak")
        mix = Mix(of=piled, partners="shuffled", alpha=self.alpha, larger_first=True)
        piles = self.levels[:1] if self.shared else self.levels
        return {
            "labelled": View(rows="labelled", policy="weak", seen_by=()),
            "coarse": View(rows="coarse", policy="weak", gradient=False),
            "weak": View(rows="unlabelled", policy="weak", number=self.guesses, gradient=False),
            **{f"mixed_{name}": View(rows="unlabelled", mix=mix) for name in piles},
        }

    def losses(self, step: Step, level: Level) -> Losses | None:
        """Of one level; ``None`` where the step has no mixed images for it."""
        pile = self.levels[0] if self.shared else level.name
        mixed = step.seen.get(f"mixed_{pile}")
        if mixed is None or mixed.student is None or mixed.partners is None:
            return None
        logits = mixed.student[level.name]
        coarse, weak = step.student("coarse"), step.student("weak")
        parts = [(label_rows(level.labels, logits), True)]
        if coarse is not None and level.finest:
            parts.append((self._guess(coarse, level, views=1), False))
        elif coarse is not None:
            parts.append((label_rows(level.coarse_only, logits), True))
        if weak is not None:
            parts.append((self._guess(weak, level, views=self.guesses), False))
        own = torch.cat([rows for rows, _ in parts])
        labelled = [torch.full((len(rows),), says, device=own.device) for rows, says in parts]
        return mixed_losses(
            logits,
            own,
            partners=mixed.partners,
            share=mixed.share,
            labelled=torch.cat(labelled),
            known=own.sum(dim=1) > 0,
        )

    def _guess(self, said: Outputs, level: Level, *, views: int) -> Tensor:
        return guess_rows(
            said[level.name], level.columns, views=views, temperature=self.temperature
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SureLevels:
    """FixMatch on every level.

    Attributes:
        threshold: least probability of a pseudo-label.
    """

    threshold: float

    def views(self) -> dict[str, View]:
        """What the network is to see."""
        return {
            "labelled": View(rows="labelled", policy="weak"),
            "coarse": View(rows="coarse", policy="weak"),
            "weak": View(rows="unlabelled", policy="weak"),
            "strong": View(rows="unlabelled", policy="strong"),
        }

    def losses(self, step: Step, level: Level) -> Losses | None:
        """Of one level; ``None`` where the step has nothing for it."""
        said, labels = [], []
        for name, known in (("labelled", level.labels), ("coarse", level.coarse_only)):
            part = step.student(name)
            if part is not None and not (level.finest and name == "coarse"):
                said.append(wide(part[level.name]))
                labels.append(known)
        weak, strong = step.student("weak"), step.student("strong")
        zero = torch.zeros((), device=step.labels.device)
        losses = [_known_cross_entropy(torch.cat(said), torch.cat(labels)) if said else zero, zero]
        if weak is not None and strong is not None:
            pair = [part[level.name] for part in (weak, strong)]
            if level.columns is not None:
                pair = [logits[:, level.columns] for logits in pair]
            classes, _, sure = sure_class(pair[0], threshold=self.threshold)
            losses[1] = pseudo_cross_entropy(pair[1], classes, sure)
        return (losses[0], losses[1]) if said or weak is not None else None


def _known_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over rows whose label is known; zero if there is none."""
    rows = F.cross_entropy(logits, labels, reduction="sum", ignore_index=-1)
    return rows / (labels >= 0).sum().clamp(min=1)

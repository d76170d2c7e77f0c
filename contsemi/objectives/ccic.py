"""CCIC: mixed images, triplets between mixtures, and distance from what the memory holds.

Source: Boschini et al. 2022, "Continual semi-supervised learning through contrastive interpolation
consistency". MixMatch on labelled, stored and unlabelled images; labelled images are drawn to their
class in the space of features; unlabelled ones, which are of the current task, are pushed off the
stored ones of earlier tasks. An image is of the class that most of the nearest stored ones have.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.assign.near_classes import nearest_votes
from contsemi.assign.targets import across_images, guess_rows, label_rows
from contsemi.losses.mixed import mixed_losses
from contsemi.losses.numerics import wide
from contsemi.losses.triplets import hard_triplets, repelled
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Mix, Needs, Outputs, Step, View


@dataclass(kw_only=True, eq=False)
class Ccic(Objective):
    """Interpolation consistency and contrastive interpolation."""

    idle: ClassVar = {"weights.apart": {"until": [0]}}

    guesses: int  # weak views of an unlabelled image whose mean prediction is its guess
    temperature: float  # of the sharpening
    alpha: float  # of the share's Beta distribution
    memory_weight: float  # of the stored images' labels beside the current ones'
    hardest: int  # farthest images of its class and nearest of others that an image is pulled by
    margin: float  # of squared distances of features
    soft: bool  # whether a softplus takes the place of the hinge
    until: float  # share of a task after which triplets are plain and nothing is pushed off
    neighbours: int  # stored images that vote
    # As released: guesses are raw logits, averaged across images and made to sum to 1 after a
    # power; targets are not mixed; and the guesses' error, of logits, is divided by the classes
    as_released: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        piled = ("labelled", "weak")
        pile = Mix(of=piled, partners="shuffled", alpha=self.alpha, larger_first=True)
        pairs = Mix(of=("labelled",), partners="shuffled", larger_first=True)
        self.needs = Needs(
            views={
                "labelled": View(rows="labelled", policy="weak"),
                "weak": View(rows="unlabelled", policy="weak", number=self.guesses, gradient=False),
                "apart": View(rows="unlabelled", policy="weak"),
                "mixed": View(rows="unlabelled", mix=pile),
                "between": View(rows="labelled", mix=pairs),
            },
            heads=("classifier",),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            supports_at_test=True,
        )

    def begin(self, experience: Experience) -> None:
        """A task begins."""
        super().begin(experience)
        self.own_ids, self.own_columns = experience.labelled, torch.tensor(experience.columns)

    def _stored(self, step: Step) -> Tensor:
        """Which of the labelled images are not of this task: by class where an id is unknown."""
        ids, labels = step.labelled_ids, step.labels
        self.own_ids, self.own_columns = self.own_ids.to(ids), self.own_columns.to(ids)
        by_class = (labels[:, None] == self.own_columns).any(dim=1)
        own = torch.where(ids < 0, by_class, (ids[:, None] == self.own_ids).any(dim=1))
        return ~own

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels``, ``guesses``, ``triplets`` and ``apart``."""
        terms = self._mixed(step)
        hinge: dict[str, Any] = {"k": self.hardest, "margin": self.margin, "soft": self.soft}
        early = step.num_old > 0 and step.progress < self.until
        labelled, between = step.student("labelled"), step.student("between")
        pulled = between if early else labelled
        if pulled is not None:
            terms["triplets"] = hard_triplets(pulled.features, step.labels, **hinge)
        apart = step.student("apart")
        if early and labelled is not None and apart is not None:
            stored = torch.where(self._stored(step), 1, -1)
            groups = torch.cat([stored.new_zeros(len(apart)), stored])
            rows = torch.cat([apart.features, labelled.features])
            terms["apart"] = repelled(rows, groups, **hinge)
        return terms

    def _mixed(self, step: Step) -> dict[str, Tensor]:
        """MixMatch, with the stored images' labels at a weight of their own."""
        mixed = step.seen.get("mixed")
        if mixed is None or mixed.student is None or mixed.partners is None:
            return {}
        logits, number = mixed.student["classifier"], len(step.labels)
        own = torch.cat(self._own(step, logits))
        if self.as_released:
            return self._as_released(step, wide(logits), own)
        rest = torch.zeros(len(logits) - number, dtype=torch.bool, device=logits.device)
        chosen: dict[str, Any] = {"partners": mixed.partners, "share": mixed.share}
        of_memory = self._stored(step)
        stored, current = (torch.cat([kind, rest]) for kind in (of_memory, ~of_memory))
        terms = {}
        if number:
            new, _ = mixed_losses(logits, own, labelled=current, **chosen)
            old, _ = mixed_losses(logits, own, labelled=stored, **chosen)
            terms["labels"] = new + self.memory_weight * old
        if len(rest):
            _, terms["guesses"] = mixed_losses(logits, own, labelled=stored | current, **chosen)
        return terms

    def _as_released(self, step: Step, logits: Tensor, own: Tensor) -> dict[str, Tensor]:
        number = len(step.labels)
        terms: dict[str, Tensor] = {}
        if number:
            rows = F.cross_entropy(logits[:number], step.labels, reduction="none")
            stored = self._stored(step)
            kinds = (~stored, stored)
            new, old = ((rows * kind).sum() / kind.sum().clamp(min=1) for kind in kinds)
            terms["labels"] = new + self.memory_weight * old
        if len(logits) > number:
            apart = F.mse_loss(logits[number:], own[number:])
            terms["guesses"] = apart / logits.shape[1]
        return terms

    def _own(self, step: Step, logits: Tensor) -> list[Tensor]:
        own, weak = [label_rows(step.labels, logits)], step.student("weak")
        if weak is not None and self.as_released:
            own.append(across_images(wide(weak["classifier"]), self.guesses, self.temperature))
        elif weak is not None:
            own.append(
                guess_rows(
                    weak["classifier"],
                    step.columns,
                    views=self.guesses,
                    temperature=self.temperature,
                )
            )
        return own

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Votes of the nearest labelled images at hand."""
        if supports is None:
            raise RuntimeError("needs labelled images to predict")
        queries, rows = (F.normalize(wide(each.features), dim=1) for each in (outputs, supports[0]))
        scores = nearest_votes(queries, rows, supports[1], self.num_seen, k=self.neighbours)
        return scores.clamp(min=-1.0)  # a class without an image is the last choice

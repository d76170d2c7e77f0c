"""FixMatch: what the network is sure of in a weak view is to hold in a strong one.

Source: Sohn et al. 2020, "FixMatch". Later rules of what is sure are one key: FlexMatch (Zhang
et al. 2021), FreeMatch (Wang et al. 2023), SoftMatch (Chen et al. 2023), AdaMatch's alignment and
relative threshold (Berthelot et al. 2022). In a stream the unlabelled images are told apart among
the classes of their task, or among all classes seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.blocks.choices import ema_momenta
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.prior import Prior
from contsemi.blocks.pseudo_rules import ALIGNING, RULES, Adaptive, Guesses
from contsemi.errors import InputError
from contsemi.losses.fairness import fairness
from contsemi.losses.numerics import wide
from contsemi.losses.pseudo import pseudo_cross_entropy
from contsemi.objectives.indexed import Indexed
from contsemi.types import Needs, Outputs, Step, Teacher, View


@dataclass(kw_only=True, eq=False)
class FixMatch(Indexed):
    """Labels, and pseudo-labels from weak to strong views."""

    index_in: ClassVar[str] = "pseudo"
    idle: ClassVar = {
        **Indexed.idle,
        "threshold": {"rule": ["adaptive", "gaussian"]},
        "momentum": {"rule": ["fixed", "flexible"]},
        "fairness": {"rule": ["fixed", "flexible", "gaussian", "relative"]},
    }

    rule: str  # fixed (FixMatch), flexible (FlexMatch), adaptive, gaussian (SoftMatch) or relative
    threshold: float  # least probability of a pseudo-label; of `relative` a share of the labelled's
    momentum: float  # of the running means of the rules that keep some
    temperature: float  # divides the weak views' logits
    fairness: float  # weight of FreeMatch's fairness beside the pseudo-labels; with `adaptive`
    among: str  # classes that an unlabelled image is of: `current` ones or all `seen`
    smoothing: float  # of the labels
    teacher: Sequence[float]  # momenta of the EMA network that predicts; empty for none
    # With `gaussian` and `relative`, how much each class is to be used: `even`, as the `labels`
    # are, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior != "even" and self.rule not in ALIGNING:
            problem = f"has no effect with objective.rule={self.rule}, which aligns with nothing"
            fix = f"leave it out, or use objective.rule={' or '.join(ALIGNING)}"
            raise InputError(f"objective.prior={self.prior}", problem, fix)
        if self.index is not None and self.among == "seen":
            problem = "the index tells the task's own classes apart, and objective.among=seen all"
            raise InputError("objective.labels_from", problem, "use objective.among=current")
        self.share = Prior(self.prior)
        self.pseudo = RULES[self.rule](threshold=self.threshold, momentum=self.momentum)
        self.needs = Needs(
            # The weak views take part in the one forward pass of all, and so in its BatchNorm.
            views={
                "labelled": View(rows="labelled", policy="weak", number=self.labelled_views),
                "weak": View(rows="unlabelled", policy="weak"),
                "strong": View(rows="unlabelled", policy="strong"),
            },
            heads=("classifier",),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=Teacher(ema_momenta(self.teacher), "copied") if self.teacher else None,
        )

    def indexed_head(self) -> str | None:
        """The features: no term of it trains a projector."""
        return None

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels`` and ``pseudo``, the latter a mean over all unlabelled images."""
        terms = labels_term(step, smoothing=self.smoothing)
        weak, strong = step.student("weak"), step.student("strong")
        if weak is None or strong is None:
            return terms
        columns = step.columns if self.among == "current" else step.all_columns
        with torch.no_grad():
            guesses = self._guesses(step, weak, columns)
            picked = self.pseudo(guesses)
        logits = strong["classifier"][:, columns]
        loss = pseudo_cross_entropy(logits, picked.classes, picked.weights)
        if self.fairness and isinstance(self.pseudo, Adaptive):
            probs, shares = self.pseudo.means(columns)
            even = fairness(logits, picked.weights, probs=probs, shares=shares)
            loss = loss + self.fairness * even
        return {**terms, "pseudo": loss}

    def _guesses(self, step: Step, weak: Outputs, columns: Tensor) -> Guesses:
        labelled, logits = step.student("labelled"), weak["classifier"]
        probs = (wide(logits)[:, columns] / self.temperature).softmax(dim=1)
        return Guesses(
            probs=self.soft_classes(step, weak, probs),
            columns=columns,
            places=step.places,
            labelled=None if labelled is None else labelled.float()["classifier"].softmax(dim=1),
            prior=self.share.of_scores(logits, temperature=self.temperature, columns=columns),
        )

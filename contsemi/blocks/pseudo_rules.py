"""Which guesses become pseudo-labels, and how much each counts: FixMatch's rule and later ones.

A rule sees the guesses among the classes that take part, and keeps running means of them over a
task; each task begins with even ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.align import aligned
from contsemi.assign.thresholds import (
    adaptive_thresholds,
    flexible_thresholds,
    gaussian_weights,
)
from contsemi.blocks.block import Block
from contsemi.types import Experience


@dataclass(frozen=True, slots=True)
class Guesses:
    """What the network says of one step, among the K classes that take part.

    Attributes:
        probs: [N, K] of the weak views.
        columns: int64 [K], the classes.
        places: int64 [N], each image's place in the task's pool.
        labelled: [L, K] probabilities of the labelled images among all classes, for rules that
            compare with them; ``None`` where the step has none.
        prior: [K], how much each class is used; ``None`` for evenly, or as the labelled images
            are predicted. Of rules that align predictions.
    """

    probs: Tensor
    columns: Tensor
    places: Tensor
    labelled: Tensor | None
    prior: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Picked:
    """Pseudo-labels.

    Attributes:
        classes: int64 [N], among the K.
        weights: [N] in [0, 1].
    """

    classes: Tensor
    weights: Tensor


class PseudoRule(Block):
    """FixMatch: what is at least as sure as one fixed threshold.

    Args:
        threshold: least probability that counts, inclusive.
        momentum: of running means.

    Source: Sohn et al. 2020, eq. 4.
    """

    def __init__(self, *, threshold: float, momentum: float) -> None:
        super().__init__()
        self.threshold, self.momentum = threshold, momentum
        self._next: Mapping[str, Tensor] = {}

    def forward(self, guesses: Guesses) -> Picked:
        """The pseudo-labels of a step."""
        surest = guesses.probs.max(dim=1).values
        return self._picked(guesses.probs, surest >= self.threshold)

    def after_step(self) -> None:
        """The running means follow the step that was taken."""
        for name, value in self._next.items():
            getattr(self, name).copy_(value)
        self._next = {}

    def _picked(self, probs: Tensor, weights: Tensor) -> Picked:
        return Picked(probs.argmax(dim=1), weights.to(probs.dtype))

    def _even(self, experience: Experience, *names: str) -> None:
        """Means of each class, all alike."""
        for name in names:
            even = torch.full((experience.num_seen,), 1 / max(experience.num_seen, 1))
            self._keep(name, even)

    def _keep(self, name: str, value: Tensor) -> None:
        device = next(iter(self.buffers()), value).device
        self.register_buffer(name, value.to(device))

    def _followed(self, name: str, now: Tensor) -> Tensor:
        """A running mean after this step; it is taken over once the optimiser has stepped."""
        mean = torch.lerp(now, getattr(self, name).to(now), self.momentum)
        self._next = {**self._next, name: mean}
        return mean

    def _followed_at(self, name: str, columns: Tensor, now: Tensor) -> Tensor:
        """The same of the classes that take part."""
        old = getattr(self, name).to(now)
        mean = torch.lerp(now, old[columns], self.momentum)
        self._next = {**self._next, name: old.index_copy(0, columns, mean)}
        return mean


class Flexible(PseudoRule):
    """FlexMatch: lower thresholds for classes that fewer images were surely predicted as.

    Source: Zhang et al. 2021.
    """

    last: Tensor  # int64 [P], the class that each image was last surely predicted as, or -1

    def begin(self, experience: Experience) -> None:
        """No image was predicted yet."""
        self._keep("last", torch.full((len(experience.unlabelled),), -1))

    def forward(self, guesses: Guesses) -> Picked:
        """Thresholds are those before this step."""
        surest, place = guesses.probs.max(dim=1)
        seen = (self.last[:, None] == guesses.columns).sum(dim=0)
        unused = (self.last < 0).sum()
        least = flexible_thresholds(seen, unused, threshold=self.threshold)
        old = self.last[guesses.places]
        new = torch.where(surest >= self.threshold, guesses.columns[place], old)
        self._next = {"last": self.last.index_copy(0, guesses.places, new)}
        return self._picked(guesses.probs, surest >= least[place])


class Adaptive(PseudoRule):
    """FreeMatch: the running mean confidence, scaled by each class's share of the predictions.

    ``threshold`` is not used.

    Source: Wang et al. 2023.
    """

    overall: Tensor
    mean: Tensor
    share: Tensor

    def begin(self, experience: Experience) -> None:
        """Even means, and the confidence of chance."""
        self._even(experience, "mean", "share")
        self._keep("overall", torch.tensor(1 / max(experience.num_seen, 1)))

    def forward(self, guesses: Guesses) -> Picked:
        """The running means of this step already count."""
        probs = guesses.probs
        surest, place = probs.max(dim=1)
        overall = self._followed("overall", surest.mean())
        mean = self._followed_at("mean", guesses.columns, probs.mean(dim=0))
        every = torch.arange(len(guesses.columns), device=place.device)
        share = (place[:, None] == every).to(probs.dtype).mean(dim=0)
        self._followed_at("share", guesses.columns, share)
        return self._picked(probs, surest >= adaptive_thresholds(overall, mean)[place])

    def means(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The running mean prediction and share of these classes, this step counted in."""
        mean, share = (self._next.get(name, getattr(self, name)) for name in ("mean", "share"))
        return mean[columns], share[columns]


class Gaussian(PseudoRule):
    """SoftMatch: every guess counts, by a bell below the running mean confidence.

    Confidences are those of predictions aligned with even classes, or with their prior;
    ``threshold`` is not used.

    Source: Chen et al. 2023.
    """

    mean: Tensor
    centre: Tensor
    variance: Tensor

    def begin(self, experience: Experience) -> None:
        """Even means, a wide bell around the confidence of chance."""
        self._even(experience, "mean")
        self._keep("centre", torch.tensor(1 / max(experience.num_seen, 1)))
        self._keep("variance", torch.tensor(1.0))

    def forward(self, guesses: Guesses) -> Picked:
        """The running means of this step already count."""
        probs = guesses.probs
        mean = self._followed_at("mean", guesses.columns, probs.mean(dim=0))
        target = torch.full_like(mean, 1 / len(mean))
        if guesses.prior is not None:
            target = guesses.prior.to(mean)
        surest = aligned(probs, mean=mean, target=target).max(dim=1).values
        centre = self._followed("centre", surest.mean())
        apart = (surest - surest.mean()).square().sum() / max(len(surest) - 1, 1)
        variance = self._followed("variance", apart)
        return self._picked(probs, gaussian_weights(surest, mean=centre, variance=variance))


class Relative(PseudoRule):
    """AdaMatch: aligned with the labelled images' predictions, a share of their confidence.

    Labelled images come as many of each class, and so are predicted about evenly: with a prior
    predictions are aligned with that.

    Source: Berthelot et al. 2022.
    """

    mean: Tensor
    target: Tensor

    def begin(self, experience: Experience) -> None:
        """Even means."""
        self._even(experience, "mean", "target")

    def forward(self, guesses: Guesses) -> Picked:
        """Without a labelled image the threshold is as it stands, and the target stays."""
        mean = self._followed_at("mean", guesses.columns, guesses.probs.mean(dim=0))
        target = self.target[guesses.columns].to(mean)
        least: float | Tensor = self.threshold
        if guesses.labelled is not None:
            of_labelled = guesses.labelled[:, guesses.columns].mean(dim=0)
            target = self._followed_at("target", guesses.columns, of_labelled)
            least = self.threshold * guesses.labelled.max(dim=1).values.mean()
        if guesses.prior is not None:
            target = guesses.prior.to(mean)
        probs = aligned(guesses.probs, mean=mean, target=target)
        return self._picked(probs, probs.max(dim=1).values >= least)


RULES: dict[str, type[PseudoRule]] = {
    "fixed": PseudoRule,
    "flexible": Flexible,
    "adaptive": Adaptive,
    "gaussian": Gaussian,
    "relative": Relative,
}
ALIGNING = ("gaussian", "relative")
"""Those that align predictions with a distribution of classes."""

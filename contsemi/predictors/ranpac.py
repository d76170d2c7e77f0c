"""Ridge regression on random features of a frozen backbone decides."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from contsemi.memory.random_ridge import RandomRidge
from contsemi.predictors.gathered import Gathered, as_linear
from contsemi.seeding import generator


@dataclass(kw_only=True, eq=False)
class RanPAC(Gathered[RandomRidge]):
    """RanPAC (McDonnell et al. 2023) without its tuning of the first task.

    Its sums only grow, so the last weights are those of all tasks' images at once.
    """

    width: int  # of the random features; the paper has 10,000
    ridge: float  # penalty, relative to the mean square of a random feature
    sharpness: float  # its outputs lie about 0 and 1: what they are multiplied by as logits

    _solved: tuple[RandomRidge, Tensor] | None = field(init=False, repr=False, default=None)

    def scores_by(self, statistics: RandomRidge, features: Tensor) -> Tensor:
        """The regression's outputs; minus infinity for a class that nothing is known of."""
        if self._solved is None or self._solved[0] is not statistics:
            self._solved = statistics, statistics.weights(self.ridge)
        scores = statistics.raised(features) @ self._solved[1] * self.sharpness
        return scores.masked_fill(statistics.sums.abs().sum(0) == 0, -torch.inf)

    def layers(self, statistics: RandomRidge) -> nn.Module:
        """The random layer, and the regression."""
        first = as_linear(statistics.projection.T)
        weight = statistics.weights(self.ridge).T * self.sharpness
        bias = torch.zeros(len(weight)).masked_fill(
            statistics.sums.abs().sum(0).cpu() == 0, -torch.inf
        )
        return nn.Sequential(first, nn.ReLU(), as_linear(weight, bias))

    def joined(self, kept: RandomRidge | None, features: Tensor, probs: Tensor) -> RandomRidge:
        """Sums of both."""
        if kept is None:
            kept = RandomRidge.none(self._projection(features.shape[1], features.device))
        return kept.joined(features, probs)

    def made_of(self, state: dict[str, Tensor]) -> RandomRidge:
        """The sums, with the projection drawn again."""
        size = int(state["num_features"])
        projection = self._projection(size, state["gram"].device)
        return RandomRidge(projection, state["gram"], state["sums"])

    def bytes_of(self, width: int, classes: int) -> int:
        """Of the sums."""
        return 4 * self.width * (self.width + classes)

    def _projection(self, num_features: int, device: torch.device) -> Tensor:
        draw = generator(0, "random features", num_features, self.width)
        return torch.randn(num_features, self.width, generator=draw).to(device)

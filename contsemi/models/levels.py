"""Classifiers of levels of classes, each with a part of the features of its own."""

import torch
from torch import Tensor

from contsemi.models.heads import Classifier


def chunk(num_features: int, level: int, levels: int) -> tuple[int, int]:
    """Where a level's own features begin and end.

    The coarsest level's come first, the finest's, with the remainder, last.

    Args:
        num_features: F.
        level: 0 for the finest.
        levels: at least 1, at most F.

    >>> [chunk(512, level, 3) for level in range(3)]
    [(340, 512), (170, 340), (0, 170)]
    """
    each = num_features // levels
    start = (levels - 1 - level) * each
    return start, start + each if level else num_features


class LevelClassifier(Classifier):
    """Logits from a level's own features and, without gradient, those of all finer levels.

    So what is learned of coarse classes never changes the features of the fine ones.

    Args:
        num_features: F.
        level: 0 for the finest.
        levels: number of levels.
        num_classes: rows at the start.
        generator: draws them.

    Source: Garg et al. 2022, section 3.3 (HierMatch).
    """

    def __init__(
        self,
        num_features: int,
        *,
        level: int,
        levels: int,
        num_classes: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        start, end = chunk(num_features, level, levels)
        super().__init__(num_features - start)
        self.start, self.end = start, end
        if num_classes:
            self.grow(num_classes, generator or torch.Generator())

    def forward(self, features: Tensor) -> Tensor:
        """Logits [N, C] of all features [N, F]."""
        own, finer = features[:, self.start : self.end], features[:, self.end :]
        return super().forward(torch.cat([own, finer.detach()], dim=1))

"""What the evaluator asks of anything that predicts: a learner, a baseline, or a user's own."""

from typing import Protocol

from torch import Tensor

from contsemi.types import Outputs

__all__ = ["HasFeatures", "Predicts"]


class HasFeatures(Protocol):
    """What the probes ask."""

    def features(self, images: Tensor) -> Tensor:
        """Features [N, F] of un-augmented images, uint8 [N, 3, S, S]."""


class Predicts(HasFeatures, Protocol):
    """What the evaluation of a task asks; C columns have been seen so far."""

    def look(self, images: Tensor, ids: Tensor | None = None) -> Outputs:
        """Outputs of un-augmented images uint8 [N, 3, S, S], without gradient.

        Args:
            images: all.
            ids: int64 [n], which of them, read chunk by chunk; ``None`` for all.
        """

    def scores(self, outputs: Outputs) -> Tensor:
        """Scores [N, C] of the outputs of :meth:`look`; the greatest is the prediction."""

    def predictions(self, outputs: Outputs) -> dict[str, Tensor]:
        """Scores [N, C] by the name of a predictor; those of :meth:`scores` as ``headline``."""

    def space(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Where the headline decides: images [N, D], and what stands for each class [C, D].

        NaN for a class that nothing stands for.
        """

"""What the evaluator asks of all that predicts: a run's inference, a baseline, a user's own."""

from typing import Protocol

from torch import Tensor

from contsemi.stores.store import Images
from contsemi.types import Outputs


class HasFeatures(Protocol):
    """What the probes ask."""

    def features(self, images: Images, ids: Tensor | None = None) -> Tensor:
        """Features [n, F] of un-augmented images; as in :meth:`Predicts.look`."""


class Predicts(HasFeatures, Protocol):
    """What the evaluation of a task asks; C columns have been seen so far."""

    def look(self, images: Images, ids: Tensor | None = None) -> Outputs:
        """Outputs of un-augmented images, without gradient.

        Args:
            images: all, uint8 [N, 3, S, S] or a store.
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

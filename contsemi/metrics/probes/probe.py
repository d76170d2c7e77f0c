"""The contract of a probe: from features and true labels to numbers; numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from contsemi.discovery import Part
from contsemi.metrics.matrix import Undefined

# Features float32 [n, F] and columns int64 [n] of some images of one task.
Rows = tuple[NDArray[np.float32], NDArray[np.int64]]
Found = dict[str, float | Undefined]


@dataclass(kw_only=True, eq=False)
class Probe(Part):
    """Asks the frozen features something, after each task.

    It knows the true labels of a few images; nothing of it flows back.

    Attributes:
        wants_untrained: whether it is shown images of later tasks only where no image of their
            class has come in training, in a pool or over a blurred border.
    """

    group: ClassVar[str] = "evaluate.probes"
    wants_untrained: ClassVar[bool] = False

    def ask(self, bank: Sequence[Rows], test: Sequence[Rows], *, seen: int, seed: int) -> Found:
        """Numbers by their names in the records.

        Args:
            bank: training images of each task of the stream, also of those to come.
            test: test images of each task.
            seen: tasks learned so far; 0 for the untrained network.
            seed: of the run.
        """
        raise NotImplementedError


def concatenated(parts: Sequence[Rows]) -> Rows:
    """The rows of several tasks as one.

    >>> one, two = (np.eye(1, 2), np.array([0])), (np.eye(1, 2), np.array([1]))
    >>> concatenated([one, two])
    (array([[1., 0.],
           [1., 0.]]), array([0, 1]))
    """
    features, labels = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(labels)

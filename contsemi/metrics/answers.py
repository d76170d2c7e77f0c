"""What a learner answered, image by image, after one task: the source of every per-class number."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.calibration import Reliability, reliability
from contsemi.metrics.confusion import confusion_matrix
from contsemi.metrics.matrix import Undefined

Integers = NDArray[np.integer]
Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """Predictions of the test images of the tasks seen so far, and embeddings of a few of them.

    Attributes:
        rows: int32 [N], rows of the test images in their dataset.
        targets: int32 [N], true columns.
        predicted: int32 [N], the best of all columns seen.
        within: int32 [N], the best column of the image's own task.
        confidence: float32 [N], probability of ``predicted``.
        log_prob: float32 [N], natural logarithm of the probability of the true column.
        embedded: int32 [n], which of the N have embeddings here.
        embeddings: float16 [n, F], their features.
        centres: float16 [C, F], what stands for each class in the same space; NaN for none.
    """

    rows: Integers
    targets: Integers
    predicted: Integers
    within: Integers
    confidence: Floats
    log_prob: Floats
    embedded: Integers = field(default_factory=lambda: np.zeros(0, np.int32))
    embeddings: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    centres: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float16))

    @property
    def classes(self) -> int:
        """Columns seen so far."""
        return 1 + int(max(self.targets.max(initial=-1), self.predicted.max(initial=-1)))

    def confusion(self) -> NDArray[np.int64]:
        """Counts [C, C] by true class (row) and predicted class (column)."""
        return confusion_matrix(self.predicted, self.targets, classes=self.classes)

    def reliability(self) -> Reliability:
        """How often predictions of one confidence are right."""
        return reliability(self.confidence, self.predicted == self.targets)

    def negative_log_likelihood(self) -> float | Undefined:
        """Mean of −log p(true class), in nats."""
        if not len(self.log_prob):
            return Undefined("there are no images")
        if np.isinf(self.log_prob).any():
            return Undefined("an image was given probability 0 of its own class")
        return float(-self.log_prob.mean(dtype=np.float64))

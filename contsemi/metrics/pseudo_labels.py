"""How good the labels are that a method gives to unlabelled images; for the evaluator alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Pseudo-labels against the hidden truth.

    Attributes:
        precision: share of the given labels that are right.
        coverage: share of the images that were given one.
        count: labels given.
    """

    precision: float | Undefined
    coverage: float | Undefined
    count: int


def pseudo_label_quality(
    given: NDArray[np.integer],
    hidden: NDArray[np.integer],
    confidence: NDArray[np.floating] | None = None,
    *,
    threshold: float = 0.0,
) -> PseudoLabels:
    """Precision and coverage of pseudo-labels.

    Hidden labels belong to the evaluator: nothing of this may flow back into training.

    Args:
        given: [N], columns; negative where a method gives none.
        hidden: [N], true columns; an image of a class that is not among them has a negative one
            and can only be labelled wrongly.
        confidence: [N], how sure the method is; ``None`` counts every given label.
        threshold: least confidence of a label that counts.

    Raises:
        ValueError: lengths differ.

    >>> pseudo_label_quality(np.array([0, 1, -1, -1]), np.array([0, 0, 1, 1]))
    PseudoLabels(precision=0.5, coverage=0.5, count=2)
    """
    if len(given) != len(hidden) or (confidence is not None and len(confidence) != len(given)):
        raise ValueError("pseudo-labels, hidden labels and confidences must be of equal length")
    used = given >= 0
    if confidence is not None:
        used &= confidence >= threshold
    count = int(used.sum())
    right = int((given[used] == hidden[used]).sum())
    return PseudoLabels(
        precision=right / count if count else Undefined("no image was given a pseudo-label"),
        coverage=count / len(given) if len(given) else Undefined("there are no unlabelled images"),
        count=count,
    )

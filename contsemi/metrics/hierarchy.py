"""Mistakes by how far they go astray in a hierarchy of classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined

Integers = NDArray[np.integer]


def coarse_accuracy(
    predicted: Integers, targets: Integers, coarse_of: Integers
) -> float | Undefined:
    """Share of images whose predicted class lies in the right coarse class.

    Images of classes whose coarse class is unknown are left out.

    Args:
        predicted: [N], fine columns.
        targets: [N], true fine columns.
        coarse_of: [C], the coarse class of each column; negative for unknown.

    >>> coarse_accuracy(np.array([0, 2]), np.array([1, 0]), np.array([0, 0, 1]))
    0.5
    """
    true, said = coarse_of[targets], coarse_of[predicted]
    known = true >= 0
    if not known.any():
        return Undefined("no test image has a known coarse class")
    return float((said == true)[known].mean())


def distance_of_mistakes(
    predicted: Integers, targets: Integers, levels: Sequence[Integers]
) -> float | Undefined:
    """The mean number of levels to climb from a wrong class to one that it shares with the truth.

    A mistake within a coarse class counts 1, one across the coarsest classes ``len(levels) + 1``.

    Args:
        predicted: [N], fine columns.
        targets: [N], true fine columns.
        levels: from the finest on, the class [C] of each column at that level; negative for
            unknown, which is shared with nothing.

    Returns:
        A number in [1, len(levels) + 1], over the mistakes alone.

    Source: Bertinetto et al. 2020, section 2 (making better mistakes).

    >>> distance_of_mistakes(np.array([0, 2]), np.array([1, 0]), [np.array([0, 0, 1])])
    1.5
    """
    wrong = predicted != targets
    if not wrong.any():
        return Undefined("there is no mistake")
    said, true = predicted[wrong], targets[wrong]
    height = np.full(len(said), len(levels) + 1)
    for level in reversed(range(len(levels))):
        shared = (levels[level][said] == levels[level][true]) & (levels[level][true] >= 0)
        height = np.where(shared, level + 1, height)
    return float(height.mean())

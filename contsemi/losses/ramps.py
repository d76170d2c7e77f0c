"""Weights of a term that rise with the share of the training that is done."""

import math

__all__ = ["cosine_ramp", "linear_ramp"]


def linear_ramp(done: float, length: float) -> float:
    """min(1, done / length), at once 1 for a length of 0.

    Args:
        done: share of the training, or any count.
        length: where the weight reaches 1, in the same unit.

    Source: Berthelot et al. 2019, section 3.4 (MixMatch).

    >>> linear_ramp(0.25, 0.5)
    0.5
    """
    return min(1.0, max(0.0, done / length)) if length else 1.0


def cosine_ramp(done: float) -> float:
    """min(1, 3/4 (1 - cos(pi · done))): 0 at the start, 1 from 0.608 of the training on.

    Args:
        done: share of the training, in [0, 1].

    Source: Islam et al. 2021, section 3.2 (dynamic distillation), its official code.

    >>> round(cosine_ramp(0.25), 4)
    0.2197
    """
    return min(1.0, 0.75 * (1 - math.cos(math.pi * done)))

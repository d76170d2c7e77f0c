"""Weights of a term that rise with the share of the training that is done."""

import math


def cosine_ramp(done: float) -> float:
    """min(1, 3/4 (1 - cos(pi · done))): 0 at the start, 1 from 0.608 of the training on.

    Args:
        done: share of the training, in [0, 1].

    Source: Islam et al. 2021, section 3.2 (dynamic distillation), its official code.

    >>> round(cosine_ramp(0.25), 4)
    0.2197
    """
    return min(1.0, 0.75 * (1 - math.cos(math.pi * done)))

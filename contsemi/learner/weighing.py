"""The loss of a step: the sum of its terms, each with its weight."""

from collections.abc import Mapping

import torch
from torch import Tensor

from contsemi.errors import InputError

__all__ = ["weighted_sum"]


def weighted_sum(
    terms: Mapping[str, Tensor], weights: Mapping[str, float], device: torch.device
) -> Tensor:
    """The weighted sum of scalar terms; zero on the device if there is none.

    Raises:
        InputError: a term has no weight in the configuration.
    """
    unknown = terms.keys() - weights.keys()
    if unknown:
        raise InputError(
            "objective.weights",
            f"the term {min(unknown)!r} has no weight",
            f"add weights: {{{min(unknown)}: 1.0}} to the method's YAML",
        )
    # of few operations: each has its own in the backward pass
    parts = [v if (w := weights[name]) == 1 else w * v for name, v in terms.items()]
    return sum(parts[1:], parts[0]) if parts else torch.zeros((), device=device)

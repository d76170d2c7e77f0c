"""Images that the frozen network of the past and the present one both see."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contsemi.types import Outputs

if TYPE_CHECKING:
    from contsemi.learner.learner import Learner

__all__ = ["moved_rows"]


def moved_rows(
    learner: "Learner", pool: Tensor, now: Tensor, take: Callable[[Outputs], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """What the task's images and the exemplars were to the past, and what they are now.

    Exemplars are few, but the only images of old classes: both kinds weigh the same in all.

    Args:
        learner: at the end of a task that is not the first.
        pool: uint8 [n, 3, S, S], the task's images.
        now: [n, F], those images as the present network sees them.
        take: what is wanted of a network's outputs, [n, F].

    Returns:
        old and new [n + M, F], and their weights [n + M].

    Raises:
        RuntimeError: there is no frozen network.
    """
    if learner.past is None:
        raise RuntimeError("moved_rows() in the first task")
    images = [learner.exemplars.images] if len(learner.exemplars) else []
    new = [now, *(take(learner.embed(each, learner.predictor)) for each in images)]
    old = [take(learner.embed(each, learner.past)) for each in (pool, *images)]
    weights = [torch.full((len(each),), 1 / max(len(each), 1), device=now.device) for each in new]
    return torch.cat(old), torch.cat(new), torch.cat(weights)

"""What changes with the step: pure functions, so that a resumed run needs only its counter."""

import math
from typing import Protocol

from contsemi.config import Optim

__all__ = ["cosine", "learning_rate", "part_of_cosine", "warmup_cosine"]


class Curve(Protocol):
    """From ``start`` at step 0 to ``end`` at ``total_steps`` and later."""

    def __call__(self, step: int, *, total_steps: int, start: float, end: float) -> float: ...


def learning_rate(optim: Optim, step: int, total_steps: int) -> float:
    """The learning rate of one step of a task: each task warms up and cools down anew.

    Args:
        optim: the configuration.
        step: steps of this task already done.
        total_steps: steps of the whole task.
    """
    return warmup_cosine(
        step,
        warmup_steps=round(optim.warmup * total_steps),
        total_steps=total_steps,
        start=optim.start_lr,
        peak=optim.lr,
        final=optim.final_lr,
        curve=cosine if optim.curve == "half" else part_of_cosine,
    )


def warmup_cosine(
    step: int,
    *,
    warmup_steps: int,
    total_steps: int,
    start: float,
    peak: float,
    final: float,
    curve: Curve | None = None,
) -> float:
    """Linear from ``start`` to ``peak`` at step ``warmup_steps``, then by a curve to ``final``.

    The curve is :func:`cosine` unless another one is given.

    ``final`` would be reached at ``total_steps``, one step after the last, as in PAWS and NNCSL.
    """
    if step < warmup_steps:
        return start + (peak - start) * step / warmup_steps
    return (curve or cosine)(
        step - warmup_steps, total_steps=total_steps - warmup_steps, start=peak, end=final
    )


def cosine(step: int, *, total_steps: int, start: float, end: float) -> float:
    """Half a cosine from ``start`` at step 0 to ``end`` at ``total_steps`` and later.

    For the momentum of an EMA in BYOL and DINO, and DINO's weight decay.
    """
    progress = min(step / max(total_steps, 1), 1.0)
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def part_of_cosine(step: int, *, total_steps: int, start: float, end: float) -> float:
    """The first part of a cosine: slow at ``start``, steep at ``end``, where it stops.

    With ``end`` = cos(7 pi / 16) ``start`` this is FixMatch's (Sohn et al. 2020, section 2.4).
    """
    progress = min(step / max(total_steps, 1), 1.0)
    return start * math.cos(math.acos(min(end / start, 1.0)) * progress)

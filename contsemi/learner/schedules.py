"""What changes with the step: pure functions, so that a resumed run needs only its counter."""

import math

from contsemi.config import Optim


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


def learning_rate(optim: Optim, step: int, total_steps: int) -> float:
    """The learning rate of one step of a task: each task warms up and cools down anew.

    Linear from ``optim.start_lr`` to ``optim.lr``, then by a curve to ``optim.final_lr``, which
    would be reached at ``total_steps``, one step after the last, as in PAWS and NNCSL.

    Args:
        optim: the configuration.
        step: steps of this task already done.
        total_steps: steps of the whole task.
    """
    warmup, start, peak = round(optim.warmup * total_steps), optim.start_lr, optim.lr
    if step < warmup:
        return start + (peak - start) * step / warmup
    curve = cosine if optim.curve == "half" else part_of_cosine
    return curve(step - warmup, total_steps=total_steps - warmup, start=peak, end=optim.final_lr)

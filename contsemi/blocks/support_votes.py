"""What the labelled rows of a step vote for its unlabelled views, and how views are to agree."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from contsemi.blocks.prior import Prior
from contsemi.losses.nearest import soft_nearest_neighbours, support_labels
from contsemi.losses.paws import consistency, mean_entropy_maximisation
from contsemi.types import Outputs, Step

VOTED = {
    key: {"large_views": [0]}
    for key in (
        *("weights.consistency", "weights.me_max"),
        *("sharpening", "smoothing", "prior", "small_views"),
    )
}
"""``idle`` of a method that has these terms (:class:`.discovery.Part`)."""


def paws(
    step: Step,
    columns: Tensor,
    *,
    temperature: float,
    sharpening: float,
    smoothing: float,
    anchor: str = "projector",
    rows: Tensor | None = None,
    prior: Prior | None = None,
    believed: Callable[[Step, Outputs, Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """``consistency`` and ``me_max``: the votes of a step's labelled rows for its unlabelled views.

    Args:
        step: the step; no terms if it lacks labelled or unlabelled rows.
        columns: int64 [C], the classes whose labelled rows vote; the others weigh nothing.
        temperature: of the similarities.
        sharpening: T of :func:`sharpen`.
        smoothing: of the labels.
        anchor: the head whose embeddings learn. That of the targets is ``projector``.
        rows: int64, the labelled rows of these classes where they are known beforehand: no other
            is then compared with.
        prior: how much each class is to be used; ``None`` for evenly.
        believed: what is made of the votes [V * B, C] of large views before they are targets.

    Source: Assran et al. 2021 (PAWS), for all seen classes; Kang et al. 2023 (CSL), for those of
        the task.
    """
    supports, large, labels = step.student("labelled"), step.student("large"), step.labels
    stands_for = step.label_weights
    if supports is None or large is None:
        return {}
    if rows is not None and len(rows):
        supports, labels = supports.rows(step.in_each_view(rows)), labels.index_select(0, rows)
        stands_for = None if stands_for is None else stands_for.index_select(0, rows)
    soft, weights = support_labels(
        labels, columns, smoothing=smoothing, dtype=supports[anchor].dtype
    )
    weights = weights if stands_for is None else weights * stands_for
    vote = partial(soft_nearest_neighbours, labels=soft, temperature=temperature, weights=weights)
    log_probs = vote(step.views(anchor), supports[anchor])
    targets = log_probs[: len(large)].detach()
    if anchor != "projector":
        with torch.no_grad():
            targets = vote(large["projector"], supports["projector"])
    if believed is not None:
        probs = believed(step, large, targets.exp())
        targets = probs.clamp_min(torch.finfo(probs.dtype).tiny).log()
    agreement = consistency(log_probs, targets, batch_size=step.batch_size, sharpening=sharpening)
    wanted = None if prior is None else prior(columns, log_probs)
    return {
        "consistency": agreement,
        "me_max": mean_entropy_maximisation(log_probs, sharpening=sharpening, prior=wanted),
    }

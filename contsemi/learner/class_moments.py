"""The class moments in the present network's features: what was kept, and what the task adds."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.learner.pool import TaskPool
from contsemi.memory.moments import Moments, fit_affine
from contsemi.types import Outputs

__all__ = ["present_moments"]


@torch.no_grad()
def present_moments(
    pool: TaskPool,
    kept: Moments | None,
    scores: Callable[[Outputs], Tensor],
    *,
    ridge: float,
    current_only: bool,
) -> Moments:
    """The kept moments, carried into the features of now, and those of the task's images.

    A task's unlabelled images count for the classes that the objective gives them, its labelled
    ones for their own. Nothing of an earlier task is read but the exemplars.

    Args:
        pool: the task's images; its frozen network is that of the end of the task before.
        kept: of the end of the task before, in that network's features.
        scores: [N, C] by the objective.
        ridge: pull of the map between the features towards no drift.
        current_only: whether the pool has images of the task's classes alone.
    """
    task, network = pool.task, pool.networks.predicting
    outputs = pool.outputs("predicting")
    own = ~task.from_memory
    labelled = pool.embed(network, task.labelled[own], pool.heads).features
    probs = _soft_labels(pool, scores(outputs), current_only=current_only)
    given = functional.one_hot(task.labels[own], probs.shape[1]).to(probs.dtype)
    if kept is None:
        kept = Moments.none(labelled.shape[1], labelled.device)
    elif pool.networks.pasts:
        old, new, weights = pool.moved(_features)
        kept = kept.carried(fit_affine(old, new, weights=weights, ridge=ridge))
    return kept.joined(torch.cat([outputs.features, labelled]), torch.cat([probs, given]))


def _soft_labels(pool: TaskPool, scores: Tensor, *, current_only: bool) -> Tensor:
    """Probabilities [P, C] of the pool's images; rows whose label is known count for nothing."""
    if current_only:
        foreign = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(foreign.index_fill(0, pool.columns, False), -torch.inf)
    return scores.softmax(1).masked_fill((pool.labels >= 0)[:, None], 0.0)


def _features(outputs: Outputs) -> Tensor:
    return outputs.features

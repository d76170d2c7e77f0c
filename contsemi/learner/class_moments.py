"""The class moments in the present network's features: what was kept, and what the task adds."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.learner.pool import moved_rows
from contsemi.learner.task import TaskRows, gather
from contsemi.memory.moments import Moments, fit_affine
from contsemi.types import Outputs

if TYPE_CHECKING:
    from contsemi.learner.learner import Learner

__all__ = ["present_moments"]


@torch.no_grad()
def present_moments(learner: "Learner", task: TaskRows) -> Moments:
    """The kept moments, carried into the features of now, and those of the task's images.

    A task's unlabelled images count for the classes that the objective gives them, its labelled
    ones for their own. Nothing of an earlier task is read but the exemplars.

    Args:
        learner: in or at the end of a task.
        task: its rows.
    """
    network = learner.predictor
    pool = gather(task.images, task.experience.unlabelled, learner.device)
    outputs = learner.embed(pool, network)
    own = ~task.from_memory
    labelled = learner.embed(task.labelled[own], network).features
    probs = _soft_labels(learner, task, outputs)
    given = functional.one_hot(task.labels[own], probs.shape[1]).to(probs.dtype)
    kept = learner.moments
    if kept is None:
        kept = Moments.none(labelled.shape[1], learner.device)
    elif learner.past is not None:
        old, new, weights = moved_rows(learner, pool, outputs.features, _features)
        ridge = learner.config.memory.ridge
        kept = kept.carried(fit_affine(old, new, weights=weights, ridge=ridge))
    return kept.joined(torch.cat([outputs.features, labelled]), torch.cat([probs, given]))


def _soft_labels(learner: "Learner", task: TaskRows, outputs: Outputs) -> Tensor:
    """Probabilities [n, C] of the pool's images; rows whose label is known count for nothing."""
    scores = learner.objective.predict(outputs, learner.supports())
    if learner.config.scenario.unlabelled == "current":  # then the pool has no other class
        foreign = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(foreign.index_fill(0, task.columns, False), -torch.inf)
    known = torch.isin(task.experience.unlabelled, task.experience.labelled)
    return scores.softmax(1).masked_fill(known.to(scores.device)[:, None], 0.0)


def _features(outputs: Outputs) -> Tensor:
    return outputs.features

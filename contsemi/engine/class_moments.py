"""The class moments in the present network's features: what was kept, and what the task adds."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.engine.task import TaskRows, gather
from contsemi.memory.moments import AffineMap, Moments, fit_affine
from contsemi.types import Outputs

if TYPE_CHECKING:
    from contsemi.engine.learner import Learner

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
        kept = kept.carried(_drift(learner, pool, outputs.features))
    return kept.joined(torch.cat([outputs.features, labelled]), torch.cat([probs, given]))


def _soft_labels(learner: "Learner", task: TaskRows, outputs: Outputs) -> Tensor:
    """Probabilities [n, C] of the pool's images; rows whose label is known count for nothing."""
    scores = learner.objective.predict(outputs, learner.supports())
    if learner.config.scenario.unlabelled == "current":  # then the pool has no other class
        foreign = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(foreign.index_fill(0, task.columns, False), -torch.inf)
    known = torch.isin(task.experience.unlabelled, task.experience.labelled)
    return scores.softmax(1).masked_fill(known.to(scores.device)[:, None], 0.0)


def _drift(learner: "Learner", pool: Tensor, now: Tensor) -> AffineMap:
    """The way from the previous network's features, on the task's images and the exemplars.

    Exemplars are few, but the only images of old classes: both kinds weigh the same in all.
    """
    assert learner.past is not None
    images = [learner.exemplars.images] if len(learner.exemplars) else []
    new = [now, *(learner.embed(each, learner.predictor).features for each in images)]
    old = [learner.embed(each, learner.past).features for each in (pool, *images)]
    weights = [torch.full((len(each),), 1 / len(each), device=now.device) for each in new]
    return fit_affine(
        torch.cat(old),
        torch.cat(new),
        weights=torch.cat(weights),
        ridge=learner.config.memory.ridge,
    )

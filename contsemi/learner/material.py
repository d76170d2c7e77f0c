"""A task's images as the network that predicts sees them: what a predictor works with."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contsemi.learner.pool import moved_rows
from contsemi.learner.task import TaskRows, gather
from contsemi.predictors.predictor import Material
from contsemi.types import Outputs

if TYPE_CHECKING:
    from contsemi.learner.learner import Learner

__all__ = ["material"]


@torch.no_grad()
def material(learner: "Learner", task: TaskRows) -> Material:
    """What is known of a task's images at hand.

    Args:
        learner: in or at the end of a task.
        task: its rows.
    """
    network = learner.predictor
    pool = gather(task.images, task.experience.unlabelled, learner.device)
    outputs = learner.embed(pool, network)
    own = ~task.from_memory
    moved = None
    if learner.past is not None and learner.decides.needs_past:
        moved = moved_rows(learner, pool, outputs.features, _features)
    return Material(
        features=outputs.features,
        probs=_soft_labels(learner, task, outputs),
        labelled=learner.embed(task.labelled[own], network).features,
        labels=task.labels[own],
        moved=moved,
    )


def _soft_labels(learner: "Learner", task: TaskRows, outputs: Outputs) -> Tensor:
    """Probabilities [n, C] of the pool's images; rows whose label is known count for nothing."""
    scores = learner.objective_scores(outputs)
    if learner.config.scenario.unlabelled == "current":  # then the pool has no other class
        foreign = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(foreign.index_fill(0, task.columns, False), -torch.inf)
    known = torch.isin(task.experience.unlabelled, task.experience.labelled)
    return scores.softmax(1).masked_fill(known.to(scores.device)[:, None], 0.0)


def _features(outputs: Outputs) -> Tensor:
    return outputs.features

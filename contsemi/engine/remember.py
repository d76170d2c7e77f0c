"""What the memory takes in when a task is over."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.engine.task import TaskRows, gather
from contsemi.memory.embeddings import fit_drift
from contsemi.memory.exemplars import sure_rows
from contsemi.seeding import generator
from contsemi.types import Experience, Outputs

if TYPE_CHECKING:
    from contsemi.engine.learner import Learner

__all__ = ["remember"]


def remember(learner: "Learner", task: TaskRows) -> None:
    """Gives the task's images to the exemplars and the embedding memory.

    Labelled images come first, so that pseudo-labelled ones only get the places they leave free.
    """
    experience, current = task.experience, ~task.from_memory
    images, labels, ids = task.labelled[current], task.labels[current], task.ids[current]
    if learner.embeddings.budget or learner.config.memory.pseudo_labels is not None:
        pool = gather(task.images, experience.unlabelled, learner.device)
        pool_ids = experience.unlabelled.to(learner.device)
        outputs = learner.embed(pool, learner.predictor)
        with torch.no_grad():
            probs = learner.objective.predict(outputs, learner.supports()).softmax(1)
        sure = _sure(learner, task, probs, pool_ids)
        images = torch.cat([images, pool[sure]])
        labels = torch.cat([labels, probs[sure].argmax(1)])
        ids = torch.cat([ids, pool_ids[sure]])
        if learner.embeddings.budget:
            _remember_embeddings(learner, experience, pool, outputs, probs)
    learner.exemplars.add(images, labels, ids)


def _sure(learner: "Learner", task: TaskRows, probs: Tensor, ids: Tensor) -> Tensor:
    """Rows of the pool that may be kept with their prediction as label."""
    threshold = learner.config.memory.pseudo_labels
    if threshold is None:
        return ids[:0]
    return sure_rows(
        probs,
        ids,
        threshold=threshold,
        columns=task.columns,
        taken=task.ids,
        generator=generator(learner.config.seed, "exemplars", task.experience.index),
    )


def _remember_embeddings(
    learner: "Learner", experience: Experience, pool: Tensor, outputs: Outputs, probs: Tensor
) -> None:
    """Carries older rows over into the present embedding space, then adds the task's."""
    now = functional.normalize(outputs["projector"], dim=1)
    if learner.past is not None:
        before = learner.embed(pool, learner.past)["projector"]
        learner.embeddings.translate(fit_drift(functional.normalize(before, dim=1), now))
    ids = experience.unlabelled.to(learner.device)
    learner.embeddings.add(now, probs, ids, experience.index)

"""What the memory takes in when a task is over."""

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.learner.pool import moved_rows
from contsemi.learner.task import TaskRows, gather
from contsemi.memory.drift.drift import Drift
from contsemi.memory.exemplars import sure_rows
from contsemi.memory.selection.selection import Offered, Selection
from contsemi.seeding import generator
from contsemi.types import Experience, Outputs

if TYPE_CHECKING:
    from contsemi.learner.learner import Learner

__all__ = ["remember"]


def remember(learner: "Learner", task: TaskRows) -> None:
    """Gives the task's images to the exemplars and the embedding memory.

    Labelled images come first, so that pseudo-labelled ones only get the places they leave free.
    Of a budget in bytes the class moments, already at hand, take theirs first, then the
    embeddings, a small part of an image each, and the images what is left.
    """
    experience, current = task.experience, ~task.from_memory
    images, labels, ids = task.labelled[current], task.labels[current], task.ids[current]
    count = len(ids)
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
    limit = learner.config.memory.bytes
    if limit is not None:
        limit -= learner.memory_bytes - learner.exemplars.memory_bytes
    learner.exemplars.add(
        images,
        labels,
        ids,
        order=_order(learner, images, labels, ids),
        spare=torch.arange(len(ids), device=ids.device) >= count,
        limit=limit,
    )


def _order(learner: "Learner", images: Tensor, labels: Tensor, ids: Tensor) -> Tensor | None:
    """The order in which a class keeps its images, by the policy of the configuration."""
    if not len(ids):
        return None

    @cache
    def outputs() -> Outputs:
        return learner.embed(images, learner.predictor)

    @torch.no_grad()
    def probs() -> Tensor:
        return learner.objective_scores(outputs()).softmax(1)

    offered = Offered(
        labels=labels,
        ids=ids,
        seed=learner.config.seed,
        features=lambda: outputs().features,
        probs=probs,
    )
    return Selection.named(learner.config.memory.selection).priorities(offered)


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
    config, memory = learner.config, learner.embeddings
    now = _unit(outputs)
    if learner.past is not None and len(memory):
        old, new, weights = moved_rows(learner, pool, now, _unit)
        draw = generator(config.seed, "drift", experience.index)
        memory.carry(Drift.named(config.memory.drift).fit(old, new, weights=weights, draw=draw))
        memory.renew(learner.exemplars.ids, new[len(now) :])
    limit = config.memory.bytes
    if limit is not None:
        beside = learner.exemplars.memory_bytes + memory.memory_bytes
        limit = max(0, limit - (learner.memory_bytes - beside))
    ids = experience.unlabelled.to(learner.device)
    memory.add(now, probs, ids, experience.index, limit=limit)


def _unit(outputs: Outputs) -> Tensor:
    """Embeddings [n, D] as the memory keeps them."""
    return functional.normalize(outputs["projector"].float(), dim=1)

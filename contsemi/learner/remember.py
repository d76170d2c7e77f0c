"""What the memory takes in when a task is over."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.config import Config
from contsemi.errors import MethodFailed
from contsemi.learner.inference import Inference
from contsemi.learner.pool import TaskPool
from contsemi.memory.drift.drift import Drift
from contsemi.memory.embeddings import Embeddings
from contsemi.memory.exemplars import Exemplars, sure_rows
from contsemi.memory.gate import fits
from contsemi.memory.selection.selection import Offered, Selection
from contsemi.seeding import generator
from contsemi.stores.parts import chained
from contsemi.stores.store import ImageStore
from contsemi.types import Outputs
from contsemi.types.returned import tensor_of


def remember(
    pool: TaskPool,
    inference: Inference,
    exemplars: Exemplars,
    embeddings: Embeddings,
    config: Config,
    *,
    beside: int,
) -> None:
    """Gives the task's images to the exemplars and the embedding memory.

    Labelled images come first, so that pseudo-labelled ones only get the places they leave free.
    Of a budget in bytes what else is kept takes its part first, then the embeddings, a small part
    of an image each, and the images what is left.

    Args:
        pool: the task's images.
        inference: says what they are of.
        exemplars: take images.
        embeddings: takes embeddings, of which the exemplars renew their own.
        config: the run.
        beside: bytes that else is kept of earlier tasks.
    """
    task, limit = pool.task, config.memory.bytes
    current = ~task.from_memory
    images = task.labelled.some(current.nonzero()[:, 0])
    labels, ids = task.labels[current], task.ids[current]
    count = len(ids)
    if embeddings.budget or config.memory.pseudo_labels is not None:
        probs = inference.probs(pool.outputs("predicting"))
        sure = _sure(pool, probs, config)
        images = chained(images, task.images.some(pool.ids[sure]))
        labels = torch.cat([labels, probs[sure].argmax(1)])
        ids = torch.cat([ids, pool.ids[sure]])
        if embeddings.budget:
            left = None if limit is None else max(0, limit - beside)
            _remember_embeddings(pool, exemplars, embeddings, probs, config, left)
    exemplars.add(
        images.all() if exemplars.source is None else None,
        labels,
        ids,
        order=_order(inference, config, images, labels, ids),
        spare=torch.arange(len(ids), device=ids.device) >= count,
        limit=None if limit is None else limit - beside - embeddings.memory_bytes,
    )


def _order(
    inference: Inference, config: Config, images: ImageStore, labels: Tensor, ids: Tensor
) -> Tensor | None:
    """The order in which a class keeps its images, by the policy of the configuration."""
    if not len(ids):
        return None

    @cache
    def outputs() -> Outputs:
        return inference.look(images)

    offered = Offered(
        labels=labels,
        ids=ids,
        seed=config.seed,
        features=lambda: outputs().features,
        probs=lambda: inference.probs(outputs()),
    )
    selection = Selection.named(config.memory.selection)
    order = selection.priorities(offered)
    if order is not None and tensor_of(selection.priorities, order, len(ids)).isnan().any():
        raise MethodFailed.returned(selection.priorities, order, "numbers", what="returned NaN in")
    return order


def _sure(pool: TaskPool, probs: Tensor, config: Config) -> Tensor:
    """Places of the images that may be kept with their prediction as label."""
    threshold = config.memory.pseudo_labels
    if threshold is None:
        return pool.ids[:0]
    task = pool.task
    fit = None
    if task.experience.mixed_pool and len(task.labels):
        labelled = pool.embed(pool.networks.predicting, task.labelled, ()).features
        features, none = pool.outputs("predicting").features, task.labels[:0]
        fit = fits(features, probs.argmax(1), labelled, task.labels, means=features[:0], of=none)
    return sure_rows(
        probs,
        pool.ids,
        threshold=threshold,
        columns=pool.columns,
        taken=pool.task.ids,
        fit=fit,
        generator=generator(config.seed, "exemplars", pool.task.experience.index),
    )


def _remember_embeddings(
    pool: TaskPool,
    exemplars: Exemplars,
    embeddings: Embeddings,
    probs: Tensor,
    config: Config,
    limit: int | None,
) -> None:
    """Carries older rows over into the present embedding space, then adds the task's."""
    index = pool.task.experience.index
    now = _unit(pool.outputs("predicting"))
    if pool.networks.pasts and len(embeddings):
        old, new, weights = pool.moved(_unit)
        draw = generator(config.seed, "drift", index)
        drift = Drift.named(config.memory.drift)
        embeddings.carry(drift.fit(old, new, weights=weights, draw=draw))
        embeddings.renew(exemplars.ids, new[len(now) : len(now) + len(exemplars)])
    embeddings.add(now, probs, pool.ids, index, limit=limit)


def _unit(outputs: Outputs) -> Tensor:
    """Embeddings [n, D] as the memory keeps them."""
    return functional.normalize(outputs["projector"].float(), dim=1)

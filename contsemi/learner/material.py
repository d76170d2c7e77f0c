"""A task's images as the network that predicts sees them: what a predictor works with."""

from collections.abc import Callable
from operator import attrgetter

import torch
from torch import Tensor

from contsemi.learner.pool import TaskPool
from contsemi.predictors.predictor import Material
from contsemi.types import Outputs


@torch.no_grad()
def material(
    pool: TaskPool, scores: Callable[[Outputs], Tensor] | None, *, classes: int, moved: bool
) -> Material:
    """What is known of a task's images at hand; of an earlier task the exemplars alone are read.

    Args:
        pool: the task's images; its frozen network is that of the end of the task before.
        scores: [n, C] by the objective; ``None`` for one that has nothing to say.
        classes: C.
        moved: whether to look at the images by that frozen network, too.
    """
    task = pool.task
    outputs = pool.outputs("predicting")
    own = ~task.from_memory
    if scores is None:
        probs = outputs.features.new_zeros(len(outputs), classes)
    else:
        probs = _soft_labels(pool, scores(outputs))
    own_classes = task.experience.pool_columns == task.experience.columns
    return Material(
        features=outputs.features,
        known=pool.labels >= 0,
        columns=task.columns if own_classes else None,
        probs=probs,
        labelled=pool.embed(
            pool.networks.predicting, task.labelled.some(own.nonzero()[:, 0]), pool.heads
        ).features,
        labels=task.labels[own],
        moved=pool.moved(attrgetter("features")) if moved and pool.networks.pasts else None,
        ids=pool.ids,
        labelled_ids=task.ids[own],
        mixed=task.experience.mixed_pool,
    )


def _soft_labels(pool: TaskPool, scores: Tensor) -> Tensor:
    """Probabilities [P, C] of the pool's images; rows whose label is known count for nothing."""
    foreign = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill(foreign.index_fill(0, pool.columns, False), -torch.inf)
    return scores.softmax(1).masked_fill((pool.labels >= 0)[:, None], 0.0)

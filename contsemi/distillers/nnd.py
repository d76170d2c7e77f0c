"""Nearest-neighbour distillation: each image keeps its soft vote among old classes' supports.

Source: Kang et al. 2023, "A soft nearest-neighbor framework for continual semi-supervised
learning" (NNCSL), eq. 5. The supports are the exemplars of old classes in the batch, seen by both
networks, and, beyond the paper, rows of the embedding memory: images of which only the embedding
is left. Those rows stay where the frozen network put them, so they also hold the embedding space
in place while the network learns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.distillers.distiller import Distiller
from contsemi.losses.cross_entropy import smooth_labels
from contsemi.losses.distil import nearest_neighbour_distillation
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.types import Needs, Past, Step

__all__ = ["NearestNeighbourDistillation"]


class NearestNeighbourDistillation(Distiller):
    """The frozen network's soft nearest-neighbour classes are the target of the current one's.

    Args:
        temperature: of the similarities.
        smoothing: of the supports' labels.
        neighbours: rows of the embedding memory that vote for a view: its nearest ones by the
            index, as the frozen network sees it. 0 for none, so that only exemplars vote.
    """

    def __init__(self, *, temperature: float, smoothing: float, neighbours: int) -> None:
        super().__init__()
        self.temperature, self.smoothing, self.neighbours = temperature, smoothing, neighbours
        self.needs = Needs(
            heads=("projector",), past=True, memory=neighbours > 0, labelled_from="all"
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``distillation``: mean cross-entropy of old and new votes over all unlabelled views."""
        past = step.past
        if past is None or step.large is None:
            return {}
        now = [part["projector"] for part in (step.large, step.small) if part is not None]
        then = [part["projector"] for part in (past.large, past.small) if part is not None]
        queries, anchors = torch.cat(then), torch.cat(now)
        supports = [*self._exemplars(step, past), *self._memory(step, past, queries)]
        if not supports:
            return {}
        vote = partial(
            soft_nearest_neighbours,
            labels=torch.cat([each.labels for each in supports]),
            temperature=self.temperature,
            weights=torch.cat([each.weights.expand(len(queries), -1) for each in supports], dim=1),
        )
        with torch.no_grad():
            before = vote(queries, torch.cat([each.then for each in supports]))
        after = vote(anchors, torch.cat([each.now for each in supports]))
        return {"distillation": nearest_neighbour_distillation(after, before)}

    def _exemplars(self, step: Step, past: Past) -> Iterator["_Supports"]:
        """The labelled rows of old classes in the batch, as both networks see them."""
        if step.labelled is None or past.labelled is None:
            return
        views = len(step.labelled) // len(step.labels)
        known = step.labels.clamp(max=past.num_classes - 1)  # rows of new classes weigh nothing
        labels = smooth_labels(known, past.num_classes, smoothing=self.smoothing)
        yield _Supports(
            labels=labels.repeat(views, 1),
            weights=(step.labels < past.num_classes).float().repeat(views)[None],
            now=step.labelled["projector"],
            then=past.labelled["projector"],
        )

    def _memory(self, step: Step, past: Past, queries: Tensor) -> Iterator["_Supports"]:
        """The nearest rows of the embedding memory; they stand still."""
        memory = step.memory
        if memory is None or not self.neighbours:
            return
        with torch.no_grad():
            unit = functional.normalize(queries.float(), dim=1)
            nearest = memory.search(unit, self.neighbours)[1]
            weights = unit.new_zeros(len(unit), len(memory.embeddings)).scatter_(1, nearest, 1.0)
        yield _Supports(
            labels=memory.probs[:, : past.num_classes],
            weights=weights,
            now=memory.embeddings,
            then=memory.embeddings,
        )


@dataclass(frozen=True, slots=True)
class _Supports:
    """Rows that vote: labels [S, C_old], weights [1 or N, S], embeddings [S, D] now and then."""

    labels: Tensor
    weights: Tensor
    now: Tensor
    then: Tensor

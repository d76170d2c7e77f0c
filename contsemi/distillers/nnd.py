"""Nearest-neighbour distillation: each image keeps its soft vote among old classes' supports.

Source: Kang et al. 2023, "A soft nearest-neighbor framework for continual semi-supervised
learning" (NNCSL), eq. 5. The supports are the exemplars of old classes in the batch, seen by both
networks, and, beyond the paper, rows of the embedding memory: images of which only the embedding
is left. Those rows stay where the frozen network put them, so they also hold the embedding space
in place while the network learns.

The official code can mix in a second term, its features branch, which its published settings
switch off: the embeddings, linearly mapped, are to be those of the frozen network.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.distillers.distiller import Distiller
from contsemi.errors import InputError
from contsemi.losses.cross_entropy import smooth_labels
from contsemi.losses.distil import feature_distillation, nearest_neighbour_distillation
from contsemi.losses.nearest import soft_nearest_neighbours, support_labels
from contsemi.types import Needs, Past, Step

__all__ = ["NearestNeighbourDistillation"]


class NearestNeighbourDistillation(Distiller):
    """The frozen network's soft nearest-neighbour classes are the target of the current one's.

    Args:
        temperature: of the similarities.
        smoothing: of the supports' labels.
        neighbours: rows of the embedding memory that vote for a view: its nearest ones by the
            index, as the frozen network sees it. 0 for none, so that only exemplars vote.
        supports: whose labelled rows vote: ``old`` for classes of earlier tasks; ``current`` for
            the task's own, as the official code does where it keeps no exemplars.
        alpha: share of the features branch in the term, in [0, 1].
    """

    def __init__(
        self,
        *,
        temperature: float,
        smoothing: float,
        neighbours: int,
        supports: str,
        alpha: float,
    ) -> None:
        super().__init__()
        if supports not in ("old", "current"):
            problem = f"expected old or current, got {supports!r}"
            raise InputError("distiller.supports", problem, "use old")
        if supports == "current" and neighbours:
            problem = "rows of the embedding memory vote for old classes, not for current ones"
            raise InputError("distiller.neighbours", problem, "set it to 0 with supports=current")
        self.temperature, self.smoothing, self.neighbours = temperature, smoothing, neighbours
        self.current, self.alpha = supports == "current", alpha
        self.needs = Needs(
            heads=("projector", *(("mapped",) if alpha else ())),
            past=True,
            memory=neighbours > 0,
            labelled_from="all",
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``distillation``: old and new votes over all unlabelled views, and old and new features.

        The first is a mean cross-entropy, the second a mean squared difference over all rows.
        """
        votes = self._votes(step) if self.alpha < 1 else None
        pairs = step.with_past() if self.alpha else []
        terms = [] if votes is None else [votes * (1 - self.alpha) if self.alpha else votes]
        if pairs:
            now = torch.cat([present["mapped"] for present, _ in pairs])
            then = torch.cat([past["projector"] for _, past in pairs])
            terms.append(self.alpha * feature_distillation(now, then))
        return {"distillation": torch.stack(terms).sum()} if terms else {}

    def _votes(self, step: Step) -> Tensor | None:
        past = step.past
        if past is None or step.large is None:
            return None
        now = [part["projector"] for part in (step.large, step.small) if part is not None]
        then = [part["projector"] for part in (past.large, past.small) if part is not None]
        queries, anchors = torch.cat(then), torch.cat(now)
        supports = [*self._exemplars(step, past), *self._memory(step, past, queries)]
        if not supports:
            return None
        vote = partial(
            soft_nearest_neighbours,
            labels=torch.cat([each.labels for each in supports]),
            temperature=self.temperature,
            weights=torch.cat([each.weights.expand(len(queries), -1) for each in supports], dim=1),
        )
        with torch.no_grad():
            before = vote(queries, torch.cat([each.then for each in supports]))
        after = vote(anchors, torch.cat([each.now for each in supports]))
        return nearest_neighbour_distillation(after, before)

    def _exemplars(self, step: Step, past: Past) -> Iterator["_Supports"]:
        """The labelled rows in the batch, as both networks see them."""
        if step.labelled is None or past.labelled is None:
            return
        views = len(step.labelled) // len(step.labels)
        now, then = step.labelled["projector"], past.labelled["projector"]
        if self.current:
            labels, weights = support_labels(
                step.labels, step.columns, smoothing=self.smoothing, dtype=then.dtype
            )
        else:
            known = step.labels.clamp(max=past.num_classes - 1)  # rows of new classes weigh nothing
            labels = smooth_labels(
                known, past.num_classes, smoothing=self.smoothing, dtype=then.dtype
            )
            weights = (step.labels < past.num_classes).to(then.dtype)
        yield _Supports(labels.repeat(views, 1), weights.repeat(views)[None], now, then)

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
    """Rows that vote: labels [S, C], weights [1 or N, S], embeddings [S, D] now and then."""

    labels: Tensor
    weights: Tensor
    now: Tensor
    then: Tensor

"""Nearest-neighbour distillation: each image keeps its soft vote among old classes' supports.

Source: Kang et al. 2023, "A soft nearest-neighbor framework for continual semi-supervised
learning" (NNCSL), eq. 5. The supports are the exemplars of old classes in the batch, seen by both
networks, and, beyond the paper, rows of the embedding memory: images of which only the embedding
is left. Those rows stay where the frozen network put them, so they also hold the embedding space
in place while the network learns. Either all of them vote, softly like the exemplars
(``whole``), or for each image its nearest ones alone (``neighbours``); that is another classifier:
at a temperature of 0.1 most of the weight lies in the many rows farther away.

The official code can mix in a second term, its features branch, which its published settings
switch off: the embeddings, linearly mapped, are to be those of the frozen network.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.blocks.past_rows import PastRows
from contsemi.distillers.distiller import Distiller
from contsemi.errors import InputError
from contsemi.losses.cross_entropy import smooth_labels
from contsemi.losses.distil import feature_distillation, nearest_neighbour_distillation
from contsemi.losses.nearest import soft_nearest_neighbours, support_labels
from contsemi.losses.nearest_stream import Votes, row_votes, sum_votes, support_votes
from contsemi.types import Experience, Needs, Step


@dataclass(kw_only=True, eq=False)
class NearestNeighbourDistillation(Distiller):
    """The frozen network's soft nearest-neighbour classes are the target of the current one's."""

    idle: ClassVar = {
        key: {"alpha": [1]}
        for key in ("temperature", "smoothing", "neighbours", "whole", "supports")
    }

    temperature: float  # of the similarities
    smoothing: float  # of the supports' labels
    # Rows of the embedding memory that vote for a view: its nearest ones by the index, as the
    # frozen network sees it: a top-k vote, surer of itself than the soft vote of the paper. 0 for
    # none, so that only exemplars vote
    neighbours: int
    # Whether all rows of the embedding memory vote, exactly while they are few, else by a summary;
    # see :class:`contsemi.memory.whole_vote.WholeVote`
    whole: bool
    # Whose labelled rows vote: `old` for classes of earlier tasks; `current` for the task's own, as
    # the official code does where it keeps no exemplars
    supports: str
    alpha: float  # share of the features branch in the term, in [0, 1]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.whole and self.neighbours:
            problem = "with distiller.whole all rows vote, not the nearest ones"
            raise InputError("distiller.neighbours", problem, "set it to 0, or whole to false")
        self.current = self.supports == "current"
        self.reweighs = not self.alpha  # the features branch takes all rows as they come
        if self.current and (self.neighbours or self.whole):
            key = "whole" if self.whole else "neighbours"
            problem = "rows of the embedding memory vote for old classes, not for current ones"
            raise InputError(f"distiller.{key}", problem, "turn it off with supports=current")
        votes = self.alpha < 1 and (self.whole or self.neighbours)
        self.past_rows = PastRows() if votes else None
        self.needs = Needs(
            heads=("projector", *(("mapped",) if self.alpha else ())),
            pasts=1,
            labelled_from="all",
        )

    def why_undone(self, tasks: Sequence[Experience], *, exemplars: bool) -> str | None:
        """Somebody has to vote."""
        recur = any(bool((task.labels < task.num_old).any()) for task in tasks)
        if not (exemplars or recur or self.current or self.alpha or self.past_rows):
            return "no labelled image of an old class is there to vote (memory.exemplars)"
        return super().why_undone(tasks, exemplars=exemplars)

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
        pairs = step.with_past("unlabelled")
        if not pairs:
            return None
        anchors = torch.cat([now["projector"] for now, _ in pairs])
        queries = torch.cat([then["projector"] for _, then in pairs])
        supports = list(self._exemplars(step))
        memory = self._of_memory(queries)
        if memory is not None:
            vote = self._with_memory(supports, memory)
        elif supports:
            vote = self._of_exemplars(supports[0])
        else:
            return None
        with torch.no_grad():
            before = vote(queries, past=True)
        return nearest_neighbour_distillation(vote(anchors, past=False), before)

    def _of_exemplars(self, supports: "_Supports") -> "_Vote":
        """The vote of the exemplars alone."""

        def vote(queries: Tensor, *, past: bool) -> Tensor:
            return soft_nearest_neighbours(
                queries,
                supports.then if past else supports.now,
                supports.labels,
                temperature=self.temperature,
                weights=supports.weights,
            )

        return vote

    def _with_memory(
        self, supports: list["_Supports"], memory: Callable[[Tensor], Votes]
    ) -> "_Vote":
        """The vote of the exemplars, if there are any, and of rows of the memory."""
        supports = [each.row_by_row() for each in supports]

        def vote(queries: Tensor, *, past: bool) -> Tensor:
            votes = memory(queries)
            for each in supports:
                own = support_votes(
                    queries,
                    each.then if past else each.now,
                    each.labels,
                    temperature=self.temperature,
                    weights=each.weights,
                )
                votes = sum_votes(votes, own)
            return votes.log_probs()

        return vote

    def _of_memory(self, queries: Tensor) -> Callable[[Tensor], Votes] | None:
        """What the memory's rows say of queries: all of them, or those nearest to ``queries``."""
        memory = None if self.past_rows is None else self.past_rows.view()
        if memory is None:
            return None
        if self.whole:
            return lambda asked: Votes(*memory.votes(asked, self.temperature))
        with torch.no_grad():
            unit = functional.normalize(queries.float(), dim=1)
            places = memory.search(unit, self.neighbours)[1]
        rows, labels = memory.embeddings, memory.probs
        return lambda asked: row_votes(asked, rows, labels, places, temperature=self.temperature)

    def _exemplars(self, step: Step) -> Iterator["_Supports"]:
        """The labelled rows in the batch, as both networks see them."""
        pairs = step.with_past("labelled")
        if not pairs:
            return
        columns, (now, then) = step.labels, (each["projector"] for each in pairs[0])
        ages = step.by_age
        rows = None if ages is None else ages.current if self.current else ages.old
        stands_for = step.label_weights
        if rows is not None and len(rows):  # else others are there and weigh nothing
            seen = step.seen.items()
            name = next(name for name, each in seen if each.rows == "labelled" and each.past)
            places = step.in_each_view(rows, name)
            columns = columns.index_select(0, rows)
            stands_for = None if stands_for is None else stands_for.index_select(0, rows)
            now, then = now.index_select(0, places), then.index_select(0, places)
        if self.current:
            labels, weights = support_labels(
                columns, step.columns, smoothing=self.smoothing, dtype=then.dtype
            )
        else:
            known = columns.clamp(max=step.num_old - 1)
            labels = smooth_labels(known, step.num_old, smoothing=self.smoothing, dtype=then.dtype)
            weights = (columns < step.num_old).to(then.dtype)
        if stands_for is not None:
            weights = weights * stands_for
        yield _Supports(labels, weights, now, then)


class _Vote(Protocol):
    """Queries [N, D] of the frozen network (``past``) or of the present one -> [N, C_old]."""

    def __call__(self, queries: Tensor, *, past: bool) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class _Supports:
    """Rows that vote: labels [S, C], weights [S], embeddings [S, D] now and then.

    Of V views of the same images labels and weights may be there once: [S / V, C], [S / V].
    """

    labels: Tensor
    weights: Tensor
    now: Tensor
    then: Tensor

    def row_by_row(self) -> "_Supports":
        """The same, with labels and weights of each row."""
        views = len(self.now) // len(self.labels)
        labels, weights = self.labels.repeat(views, 1), self.weights.repeat(views)
        return replace(self, labels=labels, weights=weights)

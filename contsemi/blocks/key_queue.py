"""A queue of keys of earlier batches that queries are told from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.relation import both_labelled, same_class
from contsemi.blocks.block import Block
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.keyed import Keyed
from contsemi.types import Experience


@dataclass(frozen=True, slots=True)
class Compared:
    """The scores of N queries with their own key, the M rows of a queue, and what is beside them.

    Attributes:
        scores: [N, 1 + M] cosines, the own key's first; -inf for rows that are not compared. Where
            backgrounds are swapped [N, 2 + M]: the last one is that of the query's own background.
        rows: [M, D], the queue; zero where nothing was written.
        labels, places: int64 [M], of the rows; -1 for none.
        of_queries: int64 [N], the labels of the queries.
    """

    scores: Tensor
    rows: Tensor
    labels: Tensor
    places: Tensor
    of_queries: Tensor

    @property
    def stored(self) -> Tensor:
        """The scores [N, M] with the queue."""
        return self.scores[:, 1 : 1 + len(self.rows)]

    @property
    def beside(self) -> Tensor:
        """The scores [N, 0 or 1] with a negative of the query's own."""
        return self.scores[:, 1 + len(self.rows) :]

    @property
    def allow(self) -> Tensor:
        """Bool [N, M]: rows that are compared."""
        return self.stored > -torch.inf

    @property
    def same(self) -> Tensor:
        """Bool [N, M]: both are labelled and of one class."""
        return same_class(self.of_queries, self.labels)

    def positives(self, relation: Tensor | None = None) -> Tensor:
        """How much a positive each candidate is.

        Args:
            relation: [N, M] what a method believes of the rows; labels overrule it where both
                images have one. ``None`` for nothing.

        Returns:
            As large as the scores, 1 for the own key.
        """
        known = self.same.to(self.scores)
        if relation is not None:
            both = both_labelled(self.of_queries, self.labels)
            known = torch.where(both, known, relation.to(known))
        own = torch.ones_like(self.scores[:, :1])
        return torch.cat([own, known, torch.zeros_like(self.beside)], dim=1)


class KeyQueue(Block):
    """First in, first out; a batch enters once the optimiser has stepped, and never meets itself.

    Other rows of the same image are left out of the comparison.

    Args:
        rows: of the queue.
        current_only: whether every task begins with an empty queue.

    Source: He et al. 2020 (MoCo).
    """

    def __init__(self, rows: int, *, current_only: bool) -> None:
        super().__init__()
        self.stored = Fifo(rows, current_only=current_only)
        self._next: Keyed | None = None

    def begin(self, experience: Experience) -> None:
        """Empties the queue, or forgets where in the pool of their task the rows were."""
        self.stored.begin(experience)
        if self.stored.allocated:
            self.stored["places"].fill_(-1)

    def compare(self, rows: Keyed) -> Compared:
        """The rows against the queue as it is; they are held to enter it."""
        self._next = rows
        own = (rows.queries * rows.keys).sum(dim=1, keepdim=True)
        beside = _beside(rows)
        if not self.stored.allocated:
            none = rows.labels[:0]
            scores = torch.cat([own, *beside], dim=1)
            return Compared(scores, rows.keys[:0], none, none, rows.labels)
        labels, places = self.stored["labels"], self.stored["places"]
        again = self.stored["ids"] == rows.ids[:, None]
        scores = self.stored.scores(rows.queries).masked_fill(again, -torch.inf)
        scores = torch.cat([own, scores.to(own), *beside], dim=1)
        return Compared(scores, self.stored.rows, labels, places, rows.labels)

    def after_step(self) -> None:
        """The rows that were compared enter."""
        if self._next is not None:
            rows, self._next = self._next, None
            self.stored.push(rows.keys, labels=rows.labels, ids=rows.ids, places=rows.places)


def _beside(rows: Keyed) -> list[Tensor]:
    """The scores [N, 1] with each query's negative of its own background, if there are such."""
    if rows.swapped is None:
        return []
    own = (rows.queries[: len(rows.swapped)] * rows.swapped).sum(dim=1, keepdim=True)
    rest = len(rows.queries) - len(own)
    return [torch.cat([own, own.new_full((rest, 1), -torch.inf)])]

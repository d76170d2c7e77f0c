"""MoCHi: further negatives are mixed from the stored keys that are hardest to tell from a query.

Source: Kalantidis et al. 2020, "Hard negative mixing for contrastive learning"; no official code
was found. Mixes of two hard keys, and of one with the query, stand beside MoCo's negatives; none
carries a gradient. The paper has no labels: here keys of a labelled query's class are neither
negatives nor mixed, and a linear classifier on the features, which is what predicts, is trained on
the labels.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.assign.mixes import hardest, mixes_of_pairs, mixes_with_queries
from contsemi.blocks.key_queue import Compared
from contsemi.blocks.keyed import Keyed
from contsemi.losses.contrast import first_contrast
from contsemi.objectives.momentum_contrast import MomentumContrast
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Mochi(MomentumContrast):
    """Momentum contrast with mixed negatives."""

    idle: ClassVar = {
        "pairs_from": {"pairs": [0]},
        "with_query_from": {"with_query": [0]},
    }
    begins: ClassVar = {"pairs": "pairs_from", "with_query": "with_query_from"}

    hardest: int  # stored keys of greatest cosine that are mixed
    pairs: int  # mixes of two of them, for each query
    pairs_from: int  # epoch of a task from which there are such mixes
    with_query: int  # mixes of one of them with the query, for each
    with_query_from: int  # epoch of a task from which there are such mixes

    def contrasts(self, rows: Keyed, step: Step) -> dict[str, Tensor]:
        """``contrast``."""
        compared = self.queue.compare(rows)
        stored = compared.stored.masked_fill(compared.same, -torch.inf)
        scores = [compared.scores[:, :1], stored, compared.beside]
        if len(compared.rows):
            scores += self._mixed(rows.queries, stored.detach(), compared, step)
        loss = first_contrast(torch.cat(scores, dim=1), temperature=self.temperature)
        return {"contrast": loss}

    def _mixed(
        self, queries: Tensor, stored: Tensor, compared: Compared, step: Step
    ) -> list[Tensor]:
        """The scores of the mixes; -inf for queries without a negative."""
        index, held = hardest(stored, self.hardest)
        made = []
        if step.epoch >= self.pairs_from and self.pairs:
            one, other, share = self._draws(step, "pairs", held, self.pairs)
            made.append(
                mixes_of_pairs(
                    compared.rows[index.gather(1, one)],
                    compared.rows[index.gather(1, other)],
                    share,
                )
            )
        if step.epoch >= self.with_query_from and self.with_query:
            one, _, share = self._draws(step, "with_query", held, self.with_query)
            negatives = compared.rows[index.gather(1, one)]
            made.append(mixes_with_queries(queries, negatives, share / 2))
        scores = [torch.einsum("nd,nsd->ns", queries, rows) for rows in made]
        return [each.masked_fill(held[:, None] == 0, -torch.inf) for each in scores]

    def _draws(
        self, step: Step, kind: str, held: Tensor, number: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Places [N, S] of two of the keys that are hardest, and shares in [0, 1)."""
        at = torch.rand(
            3, len(held), number, generator=step.draw(f"mochi {kind}"), device=held.device
        )
        place = (at[:2] * held[:, None]).long()
        return place[0], place[1], at[2]

"""The contract of a choice by embeddings: it never sees a label that was not bought."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.assign.picks import farthest_first
from contsemi.labels.choices.choice import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What is known of a task's images before any of them is labelled.

    Attributes:
        embeddings: [P, D] of the un-augmented images.
        labelled: [M, D] of images that have labels already (the exemplars of earlier tasks);
            ``None`` if there are none.
        scores: [P, C] logits of the classes seen so far; ``None`` before the first task.
        views: [V, P, D] embeddings of augmented views; ``None`` where none were made.
    """

    embeddings: Tensor
    labelled: Tensor | None = None
    scores: Tensor | None = None
    views: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeddings)


@dataclass(kw_only=True, eq=False)
class ByEmbedding(Choice):
    """A policy: a dataclass whose fields are the keys of its YAML, and one method, ``picks``."""

    # Epochs of self-supervised training on the first task's images before any has a label.
    warmup: int = 0
    asks_network: ClassVar[bool] = True
    wants_scores: ClassVar[bool] = False  # whether ``Candidates.scores`` are read

    @property
    def warms_up(self) -> bool:
        """Whether the first task's images are compared by a network that has seen them."""
        return self.warmup > 0

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """Int64, the places that the policy prefers; at most ``budget``, and distinct."""
        raise NotImplementedError

    def choose(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """The places in the pool of the images whose labels are to be bought.

        Args:
            candidates: of P images.
            budget: labels that may be bought.
            generator: of all draws, on the embeddings' device.

        Returns:
            int64 [min(budget, P)], distinct, in the order of choice. Where a policy has fewer
            (clusters without rows) the others are those farthest from all that is chosen.

        Raises:
            ValueError: the budget is negative, or an embedding is not finite.
        """
        if budget < 0:
            raise ValueError(f"a budget of {budget} labels")
        if not bool(candidates.embeddings.isfinite().all()):
            raise ValueError("embeddings that are not finite cannot be compared")
        budget = min(budget, len(candidates))
        if not budget:
            return torch.empty(0, dtype=torch.int64, device=candidates.embeddings.device)
        with torch.no_grad():
            found = self.picks(candidates, budget, generator)
        found = found[found >= 0]
        if len(found) > budget or len(set(found.tolist())) < len(found):
            raise ValueError(f"{type(self).__name__} picked an image twice, or over the budget")
        return self._filled(candidates, found, budget)

    def _filled(self, candidates: Candidates, found: Tensor, budget: int) -> Tensor:
        missing = budget - len(found)
        if not missing:
            return found
        rows = unit_rows(candidates.embeddings)
        free = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        free[found] = False
        (places,) = free.nonzero(as_tuple=True)
        more = farthest_first(rows[places], missing, known=rows[found])
        return torch.cat([found, places[more]])


def unit_rows(rows: Tensor) -> Tensor:
    """Rows of length 1 in float32 at least; a zero row stays zero."""
    return F.normalize(rows.detach().to(torch.promote_types(rows.dtype, torch.float32)), dim=-1)

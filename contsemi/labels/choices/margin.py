"""The images of which the classifier is least sure."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates


@dataclass(kw_only=True, eq=False)
class Margin(ByEmbedding):
    """Smallest difference between the two greatest probabilities first."""

    wants_scores: ClassVar[bool] = True

    # What to do while there is no classifier, or one with a single class: `random`, or `refuse`.
    at_first: str

    def __post_init__(self) -> None:
        if self.at_first not in ("random", "refuse"):
            raise InputError(
                "labels.at_first", f"{self.at_first!r} is unknown", "give random or refuse"
            )

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """Of equal margins the first in the pool."""
        scores = candidates.scores
        if scores is None or scores.shape[1] < 2:
            if self.at_first == "refuse":
                raise InputError(
                    "labels.choice",
                    "margin needs a classifier of two classes, and before the first task is none",
                    "give labels.at_first=random, or another choice",
                )
            device = candidates.embeddings.device
            return torch.randperm(len(candidates), generator=generator, device=device)[:budget]
        best = scores.float().softmax(dim=1).topk(2, dim=1).values
        return (best[:, 0] - best[:, 1]).argsort(stable=True)[:budget]

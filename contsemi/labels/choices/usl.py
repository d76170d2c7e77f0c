"""USL: dense images, one of each cluster, apart from each other."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from contsemi.assign.lloyd import lloyd, spread_starts
from contsemi.assign.picks import Repulsion, density, regularised_picks
from contsemi.errors import InputError
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates, unit_rows
from contsemi.losses.numerics import wide


@dataclass(kw_only=True, eq=False)
class Usl(ByEmbedding):
    """Unsupervised selective labelling on frozen embeddings.

    Source: Wang, Lian and Yu 2022, "Unsupervised selective labeling for more effective
    semi-supervised learning", section 3.
    """

    idle: ClassVar = {
        **{
            key: {"weight": [0]}
            for key in ("momentum", "alpha", "horizon", "nearest", "avoid_labelled", "masked_far")
        },
        "own_cluster": {"weight": [0], "iterations": [1]},
    }

    unit: bool  # whether embeddings are brought to length 1, which the horizon is a measure of
    neighbours: int  # least number of neighbours that make the density, the image itself counted
    neighbours_share: float  # of the pool, where that is more
    starts: str  # of k-means: spread (k-means++), or random rows as in the paper
    kmeans_iterations: int  # at most
    iterations: int  # selections, each knowing the one before
    weight: float  # of the repulsion against the density
    momentum: float  # of the repulsion
    alpha: float  # exponent of the squared distance
    horizon: float  # squared distance from which on picks do not push each other; 0 for none
    nearest: int  # picks that push an image, the nearest ones; 0 for all
    own_cluster: bool  # whether the pick of its own cluster pushes an image
    avoid_labelled: bool  # whether images that are labelled already push, too
    masked_far: bool = False  # as released: what does not push is at distance 1e10

    def __post_init__(self) -> None:
        if self.starts not in ("spread", "random"):
            raise InputError(
                "labels.starts", f"{self.starts!r} is unknown", "give spread or random"
            )

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """In the order of the clusters; -1 for an empty one."""
        rows = self._taken(candidates.embeddings)
        number = max(self.neighbours, round(self.neighbours_share * len(rows)))
        device = rows.device
        if self.starts == "random":
            starts = rows[torch.randperm(len(rows), generator=generator, device=device)[:budget]]
        else:
            starts = spread_starts(rows, budget, generator=generator)
        clusters = lloyd(rows, starts, iterations=self.kmeans_iterations).assignment
        known = None
        if self.avoid_labelled and candidates.labelled is not None:
            known = self._taken(candidates.labelled)
        return regularised_picks(
            rows,
            density(rows, number),
            clusters,
            budget,
            Repulsion(
                alpha=self.alpha,
                horizon=self.horizon or None,
                nearest=self.nearest or None,
                masked_far=self.masked_far,
            ),
            iterations=self.iterations,
            weight=self.weight,
            momentum=self.momentum,
            own_cluster=self.own_cluster,
            known=known,
        )[0]

    def _taken(self, rows: Tensor) -> Tensor:
        return unit_rows(rows) if self.unit else wide(rows.detach())

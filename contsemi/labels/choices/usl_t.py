"""USL-T: clusters that are trained, and of each the image that is surest of it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.assign.distances import nearest_distances
from contsemi.assign.picks import best_of_each, density
from contsemi.errors import InputError
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates, unit_rows
from contsemi.losses.cluster_heads import (
    confident_loss,
    moved_shares,
    neighbour_agreement,
    sharpened_guess,
)


@dataclass(kw_only=True, eq=False)
class UslT(ByEmbedding):
    """Linear cluster heads, trained on frozen embeddings to agree with neighbours.

    The paper's large-scale version: the encoder stays. Strong views are those of
    ``Candidates.views``; where none were made, the embeddings themselves.

    Source: Wang, Lian and Yu 2022, section 4.
    """

    heads: int  # trained side by side; the clusters are the first one's, sure by the mean of all
    epochs: int  # over the pool
    batch: int  # embeddings of one step
    lr: float  # of Adam
    weight_decay: float  # of Adam
    neighbours: int  # from which each image's partner is drawn
    adjustment: float  # how much large clusters are held back
    temperature: float  # that sharpens
    threshold: float  # probability above which a guess is learned
    local_weight: float  # of the agreement with a neighbour
    momentum: float  # of the shares of the clusters
    balance: bool  # whether images of rare clusters weigh more
    divide_by_present: bool  # so too, and the weights' mean over the clusters that occur is 1
    over_batch: bool  # whether the mean is over the batch instead of the sure images
    scale: float  # of cosine heads; 0 for linear ones
    select: str  # probability: the surest of each cluster; density: its densest

    def __post_init__(self) -> None:
        if self.select not in ("probability", "density"):
            raise InputError(
                "labels.select", f"{self.select!r} is unknown", "give probability or density"
            )

    def picks(self, candidates: Candidates, budget: int, generator: torch.Generator) -> Tensor:
        """In the order of the clusters of the first head; -1 for an empty one."""
        rows = unit_rows(candidates.embeddings)
        views = rows[None] if candidates.views is None else unit_rows(candidates.views)
        with torch.enable_grad():
            directions = self._trained(rows, views, budget, generator)
        logits = self._logits(rows, directions)
        clusters = logits[0].argmax(dim=1)
        if self.select == "density":
            return best_of_each(density(rows, self.neighbours), clusters, budget)
        return best_of_each(logits.softmax(dim=2).amax(dim=2).mean(dim=0), clusters, budget)

    def _logits(self, rows: Tensor, directions: Tensor) -> Tensor:
        """[heads, N, budget]."""
        if self.scale:
            return self.scale * rows @ F.normalize(directions, dim=2).mT
        return rows @ directions.mT

    def _trained(
        self, rows: Tensor, views: Tensor, budget: int, generator: torch.Generator
    ) -> Tensor:
        device, number = rows.device, len(rows)
        bound = rows.shape[1] ** -0.5
        directions = torch.empty(self.heads, budget, rows.shape[1], device=device, dtype=rows.dtype)
        directions.uniform_(-bound, bound, generator=generator).requires_grad_()
        shares = torch.full((self.heads, budget), 1 / budget, device=device, dtype=rows.dtype)
        near = nearest_distances(rows, rows, self.neighbours + 1)[1]
        adam = torch.optim.Adam([directions], lr=self.lr, weight_decay=self.weight_decay)

        def drawn(most: int, size: int) -> Tensor:
            return torch.randint(most, (size,), generator=generator, device=device)

        for _ in range(self.epochs):
            order = torch.randperm(number, generator=generator, device=device)
            for index in torch.split(order, self.batch):
                partner = near[index, drawn(near.shape[1], len(index))]
                strong, strong_partner = (
                    views[drawn(len(views), len(places)), places] for places in (index, partner)
                )
                logits = self._logits(strong, directions)
                with torch.no_grad():
                    weak = self._logits(rows[index], directions)
                    neighbour = self._logits(strong_partner, directions)
                loss, shares = self.loss(logits, weak, neighbour, shares)
                (directions.grad,) = torch.autograd.grad(loss, directions)
                adam.step()
        return directions.detach()

    def loss(
        self, strong: Tensor, weak: Tensor, neighbour: Tensor, shares: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss of all heads, and the shares of the clusters after it.

        Args:
            strong: [heads, N, K] logits of strong views, which learn.
            weak: [heads, N, K], of the images as they are.
            neighbour: [heads, N, K], of strong views of a neighbour of each.
            shares: [heads, K], of the clusters so far.
        """
        targets = sharpened_guess(
            neighbour, shares, adjustment=self.adjustment, temperature=self.temperature
        )
        local = neighbour_agreement(strong, targets).sum()
        sure = [
            confident_loss(
                logits,
                guesses,
                threshold=self.threshold,
                balance=self.balance,
                divide_by_present=self.divide_by_present,
                over_batch=self.over_batch,
            )
            for logits, guesses in zip(strong, weak, strict=True)
        ]
        shares = moved_shares(shares, neighbour, momentum=self.momentum)
        return torch.stack(sure).sum() + self.local_weight * local, shares

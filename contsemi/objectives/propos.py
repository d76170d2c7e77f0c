"""ProPos: views predict each other, and the clusters of the batch lie apart.

Source: Huang et al. 2022, "Learning representation for clustering via prototype scattering and
positive sampling". BYOL's regression, with noise on the projection, draws views of an image
together; the centre of each cluster in the batch is to be told from all other centres by its like
in the other view. The clusters are found at the start of each epoch. ``noise_in: other`` is its
form as NCC, non-contrastive clustering: the target is a neighbour of the other view. The papers
have no labels: here labelled images start the clusters and stay in that of their class, and a
linear classifier on the features, which is what predicts, is trained on the labels.

The predictor is this objective's own, as noise comes between it and the network's projector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsemi.blocks.by_view import by_view, equal_views, labels_of_all
from contsemi.blocks.choices import ema_momenta
from contsemi.blocks.clusters import Clusters
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.labelled import labels_term
from contsemi.losses.regression import swapped_regression
from contsemi.losses.scattering import centres, hard_shares, scattering
from contsemi.models.heads import mlp
from contsemi.objectives.objective import Objective
from contsemi.types import Head, Needs, Step, Teacher


@dataclass(kw_only=True, eq=False)
class Propos(Objective):
    """Alignment of views and scattering of clusters."""

    idle: ClassVar = {"noise_in": {"noise": [0]}}
    begins: ClassVar = {"noise": "warmup", "weights.scattering": "warmup"}

    predictor: Sequence[int]  # hidden widths
    version: str  # v2 counts the alignment from 0; v1, the first release, from -2
    noise: float  # standard deviation of the noise
    noise_in: str  # own: on the projection, before the predictor; other: on the target (NCC)
    temperature: float  # of the centres' cosines
    empty: float  # logit of a cluster that the batch has no image of; -10000 leaves it out
    clusters: float  # for each class of the task
    iterations: int  # of k-means
    warmup: int  # epochs of a task without noise and scattering
    queue: int  # earlier targets that count in the centres; 0 for none
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stored = Fifo(self.queue, current_only=True) if self.queue else None
        self.found = Clusters([self.clusters], iterations=self.iterations)
        self.predict_other: nn.Module | None = None
        self._next: tuple[Tensor, Tensor, Tensor] | None = None
        self.needs = Needs(
            views=equal_views(2, self.labelled_views, seen_by=("student", "teacher")),
            heads=(
                "projector",
                Head(name="aligned", on="projector", build=self._made),
                "classifier",
            ),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=Teacher(ema_momenta(self.teacher)),
        )

    def _made(self, width: int, draw: torch.Generator) -> nn.Module:
        """Makes the predictor when the network is built, whose projector has this width."""
        if self.predict_other is None:
            self.predict_other = mlp(width, [*self.predictor, width])
        return nn.Identity()

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``alignment`` and ``scattering`` of all images, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        own, slow = (by_view(step, network, "projector") for network in ("student", "teacher"))
        if own is None or slow is None:
            return terms
        terms["alignment"] = self._alignment(own, slow.detach(), step)
        if step.epoch >= self.warmup:
            terms["scattering"] = self._scattering(own, slow.detach(), step)
        return terms

    def _alignment(self, own: Tensor, slow: Tensor, step: Step) -> Tensor:
        """Each view predicts the other one, or a neighbour of it."""
        if self.noise and step.epoch >= self.warmup:
            draw = step.draw("propos noise")
            noise = torch.randn(own.shape, generator=draw, device=own.device, dtype=own.dtype)
            if self.noise_in == "own":
                own = own + self.noise * noise
            else:
                slow = slow + self.noise * noise
        assert self.predict_other is not None, "no network was built with the heads of the needs"
        loss = swapped_regression(
            self.predict_other(own.flatten(0, 1)),
            functional.normalize(slow.flatten(0, 1), dim=1),
            batch_size=own.shape[1],
        )
        return loss if self.version == "v2" else loss - 2

    def _scattering(self, own: Tensor, slow: Tensor, step: Step) -> Tensor:
        """The centres of each view against those of the other one, the mean of both orders."""
        labels = labels_of_all(step)
        places = torch.cat([step.places, torch.full_like(step.labels, -1)])
        clusters, stored = self.found(places, labels)[0], own[0, :0].detach()
        if self.stored is not None:
            self._next = functional.normalize(slow[1], dim=1), places, labels
            if self.stored.allocated:
                stored = self.stored.rows
                theirs = self.found(self.stored["places"], self.stored["labels"])[0]
                clusters = torch.cat([clusters, theirs])
        shares = hard_shares(clusters, len(self.found.known))
        empty = own.new_full(shares[0].shape, self.empty).masked_fill(~self.found.known, -torch.inf)
        losses = [
            scattering(
                centres(torch.cat([own[view], stored]), shares),
                centres(torch.cat([slow[1 - view], stored]), shares),
                shares.any(dim=0),
                temperature=self.temperature,
                empty=empty,
            )
            for view in range(2)
        ]
        return torch.stack(losses).mean()

    def after_step(self) -> None:
        """The targets enter the queue."""
        super().after_step()
        if self.stored is not None and self._next is not None:
            rows, places, labels = self._next
            self.stored.push(rows, places=places, labels=labels)
            self._next = None

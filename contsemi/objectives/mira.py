"""MIRA: views predict each other's clusters, which are sure of each image and all in use.

Source: Lee et al. 2022, "Unsupervised visual representation learning via mutual information
regularized assignment". The slow network's embeddings are compared with the clusters of the network
itself; the assignment is the one nearest to these scores that says most about the images. The paper
has no labels: here each class may own a few clusters, among which a labelled image stays; it counts
in the balance of all. A linear classifier on the features, which is what predicts, is trained on
the labels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.mira import mira
from contsemi.blocks.by_view import by_view, equal_views, labels_of_all
from contsemi.blocks.choices import ema_momenta, enough_views, start_and_end
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.prior import Prior
from contsemi.errors import InputError
from contsemi.losses.numerics import wide
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.models.heads import clusters
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Needs, Step, Teacher, View


@dataclass(kw_only=True, eq=False)
class Mira(Objective):
    """Swapped assignments of maximal mutual information; small views only predict."""

    idle: ClassVar = {"small_views": {"large_views": [0]}}

    clusters: int  # K
    of_class: int  # clusters that each class owns; 0 leaves labels out of the assignment
    temperature: float  # of the predictions of clusters
    teacher_temperature: float  # of the scores that are assigned
    beta: Sequence[float]  # weight of the mutual information at the start and the end of a task
    iterations: int  # of the assignment
    frozen: int  # epochs of a task in which the clusters stay
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels
    # How much each cluster is to be used: `even`, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views, self.labelled_views)
        self._betas = start_and_end("objective.beta", self.beta)
        self.share = Prior(self.prior, self.clusters)
        views = equal_views(self.large_views, self.labelled_views, seen_by=("student", "teacher"))
        if number := self.read_small_views:
            views["small"] = View(rows="unlabelled", policy="small", number=number)
        self.needs = Needs(
            views=views,
            heads=("projector", clusters(self.clusters, "weight_norm"), "classifier"),
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=Teacher(ema_momenta(self.teacher)),
        )

    def begin(self, experience: Experience) -> None:
        """Sees that there are clusters for all classes."""
        super().begin(experience)
        if experience.num_seen * self.of_class > self.clusters:
            raise InputError(
                "objective.clusters",
                f"{experience.num_seen} classes with {self.of_class} each need more than "
                f"{self.clusters}",
                "use more, or objective.of_class=0",
            )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` of all images, each counted once, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        slow = by_view(step, "teacher", "projector")
        if slow is None:
            return terms
        some = step.student("large") or step.student("labelled")
        assert some is not None
        directions = some.directions["clusters"]
        targets = self._assigned(functional.normalize(slow, dim=2) @ directions.T.to(slow), step)
        size, loss = step.batch_size, targets.new_zeros(())
        for names, share in (
            (("large", "small"), targets[:, :size]),
            (("labelled",), targets[:, size:]),
        ):
            images = share.shape[1]
            if images:
                loss = loss + (images / targets.shape[1]) * swapped_cross_entropy(
                    self._scores(step, directions, *names),
                    share.flatten(0, 1),
                    batch_size=images,
                    temperature=self.temperature,
                )
        return terms | {"clustering": loss}

    def _scores(self, step: Step, directions: Tensor, *names: str) -> Tensor:
        """The network's scores of all views of some kinds; the clusters may have to stay."""
        if step.epoch >= self.frozen:
            return step.views("clusters", *names)
        rows = wide(step.views("projector", *names))
        return functional.normalize(rows, dim=1) @ directions.T.to(rows)

    def _assigned(self, scores: Tensor, step: Step) -> Tensor:
        """The assignments [V, N, K] of all images, each view by itself."""
        labels = labels_of_all(step)
        start, end = self._betas
        assigned = partial(
            mira,
            temperature=self.teacher_temperature,
            beta=end + (start - end) * (1 + math.cos(math.pi * step.progress)) / 2,
            iterations=self.iterations,
            prior=self.share.of_scores(scores.flatten(0, 1), temperature=self.teacher_temperature),
        )
        if not self.of_class:
            return torch.stack([assigned(view) for view in scores])
        owner = torch.arange(scores.shape[2], device=scores.device) // self.of_class
        size, own = step.batch_size, owner == labels[step.batch_size :, None]
        known = (scores[:, size:] / self.teacher_temperature).masked_fill(~own, -torch.inf)
        known = known.softmax(dim=2)
        free = [
            assigned(view[:size], fixed=fixed) for view, fixed in zip(scores, known, strict=True)
        ]
        return torch.cat([torch.stack(free), known], dim=1)

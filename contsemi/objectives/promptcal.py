"""PromptCAL: classes that never get a label are found by contrast with stored images of their kind.

Source: Zhang et al. 2023, "PromptCAL: contrastive affinity learning via auxiliary prompts for
generalized novel category discovery". First stage: views of an image, and labelled images of a
class, are drawn together. Second stage: both between the network and its slow copy, and beside them
the stored rows that a graph of neighbours' neighbours holds to be of an image's kind; labels
overrule the graph. Both stages are within each task here, the first one for a share of its steps.
The paper holds features to those of the pre-trained network for the first epochs, on images of
ImageNet; here that is the network that a task began with, on the task's own images (``kept_for``).
Where the backbone has prompts, all of it is done a second time on what they become. The classifier,
which is not in the paper, reads the features and leaves them alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.affinity import affinity_graph, affinity_relation, sampled_negatives
from contsemi.blocks.choices import start_and_end
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.labelled import labels_term
from contsemi.errors import InputError
from contsemi.losses.affinity import (
    affinity_contrast,
    label_contrast,
    swapped_views,
    views_contrast,
)
from contsemi.losses.distil import feature_distillation
from contsemi.losses.numerics import wide
from contsemi.models.heads import classifier, mlp
from contsemi.objectives.objective import Objective
from contsemi.types import Head, Step

VIEWS = ("large", "labelled")


@dataclass(kw_only=True, eq=False)
class Promptcal(Objective):
    """Contrastive affinity learning; images have two views each."""

    idle: ClassVar = {
        "prompt_weight": {"prompt_projector": [[]]},
        **{key: {"kept_for": [0]} for key in ("kept_weight", "weights.kept")},
        "weights.views": {"alpha": [1]},
        "weights.classes": {"alpha": [0], "labelled_views": [0]},
        "weights.affinity": {"alpha": [1], "affinity_share": [0]},
        **{
            key: {"affinity_share": [0]}
            for key in (
                "affinity_ramp",
                "affinity_temperature",
                "neighbours",
                "quantile",
                "diffusion",
                "negatives",
            )
        },
    }

    reads_small: ClassVar[bool] = False

    first_stage: float  # share of a task's steps before stored rows count
    alpha: float  # of the contrast by labels against that without
    temperature: float  # of the contrast of views
    label_temperature: float  # of that by labels
    affinity_temperature: float  # of that with stored rows
    affinity_share: float  # of that with stored rows against that of views, in the end
    affinity_ramp: float  # share of a task's steps over which it rises to this
    bank: int  # stored rows of the slow network
    neighbours: int  # of the graph
    quantile: float  # of the graph's entries above their mean, from which on two are of a kind
    diffusion: int  # steps of the walk on the graph
    negatives: int  # rows that an image is compared with, its positives among them; -1 for all
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    # Widths of the head on the backbone's prompts; none for a backbone that has no prompts.
    prompt_projector: Sequence[int]
    prompt_weight: float  # of the loss on them
    # Share of a task's steps in which features are held to those of the network that it began with
    kept_for: float
    kept_weight: Sequence[float]  # of holding them, at the start and at the end of that share
    smoothing: float  # of the labels of the classifier

    def __post_init__(self) -> None:
        super().__post_init__()
        if not {self.large_views, self.labelled_views} <= {0, 2}:
            raise InputError(
                "objective.large_views or objective.labelled_views",
                "the two views of an image are each other's first positive",
                "use 2, or 0",
            )
        self._weights = start_and_end("objective.kept_weight", self.kept_weight)
        self.kin = Fifo(self.bank, current_only=True)
        self.prompt_kin = Fifo(self.bank, current_only=True)
        heads: tuple[str | Head, ...] = ("projector", classifier(detached=True))
        if self.prompt_projector:
            heads = (*heads, Head(name="prompted", on="prompts", build=self._prompted))
        self.needs = self.asks(
            *heads, teacher=self.teacher, teacher_labelled=True, start=self.kept_for
        )

    def _prompted(self, width: int, draw: torch.Generator) -> torch.nn.Module:
        return mlp(width, self.prompt_projector)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``views``, ``classes``, ``affinity``, with what prompts add, ``kept`` and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing) | self._kept(step)
        if not any(name in step.seen for name in VIEWS):
            return terms
        found = self._branch(step, "projector", self.kin)
        if self.prompt_projector:
            more = self._branch(step, "prompted", self.prompt_kin)
            found = {name: term + self.prompt_weight * more[name] for name, term in found.items()}
        return terms | found

    def _kept(self, step: Step) -> dict[str, Tensor]:
        """Mean squared difference of unit features of this network and of the task's first one."""
        pairs = step.with_start()
        if not pairs or step.progress >= self.kept_for:
            return {}
        features = ([outputs.features for outputs in side] for side in zip(*pairs, strict=True))
        now, then = (functional.normalize(torch.cat(rows), dim=1) for rows in features)
        first, last = self._weights
        weight = first + (last - first) * step.progress / self.kept_for
        return {"kept": weight * feature_distillation(now, then)}

    def _branch(self, step: Step, head: str, stored: Fifo) -> dict[str, Tensor]:
        """The loss on one head, in parts that are to be added up."""
        rows, slow = _by_view(step, head, "student"), _by_view(step, head, "teacher")
        hidden = [torch.full_like(step.unlabelled_ids, -1)] if "large" in step.seen else []
        labels = torch.cat([*hidden, *([step.labels] if "labelled" in step.seen else [])])
        second = step.progress >= self.first_stage
        others = slow if second else rows
        share = affinity = rows.new_zeros(())
        if (whole := self._affinity_share(step)) and stored.allocated:
            affinity = self._affinity(step, rows, slow, labels, stored)
            share = rows.new_full((), whole) * stored.filled.all()  # zeros are of no one's kind
        stored.push(functional.normalize(wide(slow), dim=1), labels=labels.repeat(2))
        views = views_contrast(rows, others, temperature=self.temperature)
        classes = label_contrast(rows, others, labels, temperature=self.label_temperature)
        return {
            "views": (1 - self.alpha) * (1 - share) * views,
            "classes": self.alpha * classes,
            "affinity": (1 - self.alpha) * share * affinity,
        }

    def _affinity_share(self, step: Step) -> float:
        """Rises from the end of the first stage on."""
        since = step.progress - self.first_stage
        if since < 0:
            return 0.0
        risen = min(1.0, since / self.affinity_ramp) if self.affinity_ramp else 1.0
        return self.affinity_share * risen

    def _affinity(
        self, step: Step, rows: Tensor, slow: Tensor, labels: Tensor, stored: Fifo
    ) -> Tensor:
        """The contrast with stored rows, the slow network's other view being the first positive."""
        first = swapped_views(slow)
        graph = affinity_graph(
            torch.cat([functional.normalize(wide(first), dim=1), stored.rows]),
            queries=len(rows),
            neighbours=self.neighbours,
            quantile=self.quantile,
            steps=self.diffusion,
        )
        drawn = sampled_negatives(graph, self.negatives, step.draw("negatives"))
        pairs = affinity_relation(graph, drawn, labels.repeat(2), stored["labels"])
        return affinity_contrast(
            rows, first, stored.rows, *pairs, temperature=self.affinity_temperature
        )


def _by_view(step: Step, head: str, network: str) -> Tensor:
    """What a head says of both views of all images [2 (B + L), D], view-major."""
    seen = [getattr(step.seen[name], network)[head] for name in VIEWS if name in step.seen]
    return torch.cat([part.view(2, len(part) // 2, -1) for part in seen], dim=1).flatten(0, 1)

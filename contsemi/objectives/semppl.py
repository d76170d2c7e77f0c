"""SemPPL: stored labelled images of the class that their neighbours vote for are positives too.

Source: Bosnjak et al. 2023, "SemPPL: predicting pseudo-labels for better contrastive
representations"; the code of its training was not published. Each labelled view has a queue of slow
embeddings, here a ring for each class, so that no class leaves it in a stream. An unlabelled image
gets the class that most of its nearest stored rows have. Each view is told from other images of
the batch twice: with the target views of its image as positives, and with stored images of its
class; all views are to do so in the same way. A linear classifier on the features, which is what
predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsemi.assign.vote import vote
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.others import others_of_each
from contsemi.blocks.predicted import Predicted, predicted
from contsemi.blocks.rings import Rings
from contsemi.losses.agreement import invariance
from contsemi.losses.contrast import first_contrast
from contsemi.objectives.objective import Objective
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Semppl(Objective):
    """Contrast with positives that neighbours vote for; small views are no targets."""

    idle: ClassVar = {
        **{
            key: {"labelled_views": [0]}
            for key in ("weights.semantic", "positives", "bank", "current_only")
        },
        "threshold": {"labelled_views": [0], "large_views": [0]},
        "small_views": {"large_views": [0]},
    }

    temperature: float  # of all cosines
    negatives: int  # other images that each is told from
    positives: int  # stored images of its class that each is drawn to
    bank: int  # rows stored of each class, in a queue for each labelled view
    threshold: float  # share of the votes that a class needs to be believed
    # Whether rows of the task's classes alone vote, and a task begins with empty queues.
    current_only: bool
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        self.banks = nn.ModuleList(
            Rings(self.bank, current_only=self.current_only) for _ in range(self.labelled_views)
        )
        self.needs = self.asks(
            "predictor", "classifier", teacher=self.teacher, teacher_labelled=True
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``contrast``, ``semantic``, ``invariance`` and ``labels``; images count once each."""
        terms = labels_term(step, smoothing=self.smoothing)
        groups = predicted(step)
        for group in [each for each in groups if each.labelled]:
            of_image = {"labels": group.labels[: group.size], "ids": group.ids[: group.size]}
            views = torch.split(group.targets, group.size)
            for bank, rows in zip(self._queues(), views, strict=True):
                bank.push(rows, **of_image)
        total = sum(group.size for group in groups)
        for group in groups:
            for name, value in self._told_apart(group, step).items():
                terms[name] = terms.get(name, 0) + value * (group.size / total)
        return terms

    def _told_apart(self, group: Predicted, step: Step) -> dict[str, Tensor]:
        """The terms of one group of images, over all pairs of a view and a target view."""
        views = functional.normalize(group.predictions, dim=1)
        views = views.view(-1, group.size, views.shape[1])
        targets = group.targets.view(-1, *views.shape[1:])
        draw = step.draw(f"negatives {'labelled' if group.labelled else 'unlabelled'}")
        others = targets[:, others_of_each(group.size, self.negatives, draw)]
        own = torch.einsum("vnd,tnd->vtn", views, targets)[..., None]
        far = torch.einsum("vnd,tnkd->vtnk", views, others)
        scores = torch.cat([own, far], dim=-1)
        terms = {"contrast": first_contrast(scores, temperature=self.temperature)}
        terms["invariance"] = invariance(scores, temperature=self.temperature)
        if any(bank.allocated for bank in self._queues()):
            rows, found = self._semantic(group, views, step)
            near = torch.einsum("vnd,tnpd->vtnp", views, rows)[..., None]
            scores = torch.cat([near, far[..., None, :].expand(*near.shape[:-1], -1)], dim=-1)
            counts = found[None, :, :, None].expand(near.shape[:-1])
            terms["semantic"] = first_contrast(scores, temperature=self.temperature, counts=counts)
            terms["invariance"] = terms["invariance"] + invariance(
                scores, temperature=self.temperature, counts=counts
            )
        return terms

    def _semantic(self, group: Predicted, views: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Stored rows [T, N, P, D] of the class of each image, and bool [T, N] where it has any."""
        targets, classes = len(group.targets) // group.size, group.labels[: group.size]
        if not group.labelled:
            classes = self.voted(views[:targets], group.ids[: group.size], step)
        draw = step.draw(f"positives {'labelled' if group.labelled else 'unlabelled'}")
        found = [bank.members(classes, self.positives, draw) for bank in self._queues()]
        chosen = [found[t % len(found)] for t in range(targets)]
        return torch.stack([rows for rows, _ in chosen]), torch.stack([has for _, has in chosen])

    def voted(self, views: Tensor, ids: Tensor, step: Step) -> Tensor:
        """The class [N] that the nearest rows of each view in each queue have; -1 for none."""
        votes = []
        for bank in self._queues():
            allow = bank["ids"] != ids[:, None]
            if self.current_only:
                allow = allow & torch.isin(bank["labels"], step.columns)
            for view in views.detach():
                near = bank.search(view, 1, allow)
                votes.append(torch.where(near.found, bank["labels"][near.index], -1))
        winner, share = vote(torch.cat(votes, dim=1), step.num_seen)
        return torch.where(share >= self.threshold, winner, -1)

    def _queues(self) -> list[Rings]:
        return [bank for bank in self.banks if isinstance(bank, Rings)]

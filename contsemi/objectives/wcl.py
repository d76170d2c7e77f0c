"""WCL: images linked by nearest neighbours share a weak label, and contrast works on both.

Source: Zheng et al. 2021, "Weakly supervised contrastive learning". One head tells instances apart;
another one groups them: connected components of the nearest-neighbour graph of one view are the
weak labels of a supervised contrast in the other view. Small views follow the idea of the paper's
k-NN multi-crop, mirrored: a crop is drawn to the stored embeddings of its image's neighbours, so
that no further image has to be read. Labels are not in the paper: here labelled images of a class
are linked, those of two classes never share a weak label, and a linear classifier on the features,
which is what predicts, is trained on the labels. Walking the graph waits for the device.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.components import weak_relation
from contsemi.assign.relation import same_class
from contsemi.errors import InputError
from contsemi.losses.contrast import contrast, paired_contrast, relation_contrast
from contsemi.losses.view_labels import view_label_cross_entropy
from contsemi.memory.bank import Bank
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Wcl"]


class Wcl(Objective):
    """Contrast of instances and of weak labels.

    Args:
        temperature: of all cosines.
        neighbours: images that a small view is drawn to.
        smoothing: of the labels.
        rows: two ``large_views``; two ``labelled_views`` or none; see
            :class:`~contsemi.types.Needs`.
    """

    def __init__(
        self, *, temperature: float, neighbours: int, smoothing: float, **rows: Any
    ) -> None:
        super().__init__()
        self.temperature, self.neighbours, self.smoothing = temperature, neighbours, smoothing
        self.stored = Bank(0, "by_id")
        self.needs = Needs(
            heads=("projector", "auxiliary", "classifier"), labelled_from="all", **rows
        )
        if not {self.needs.large_views, self.needs.labelled_views} <= {0, 2}:
            raise InputError(
                "objective.large_views or objective.labelled_views",
                "the two views of an image give each other their weak labels",
                "use 2, or 0",
            )

    def begin(self, experience: Experience) -> None:
        """Makes room for the task's images and forgets those of the task before."""
        ids = experience.unlabelled
        self.stored.grow(int(ids.max()) + 1 if len(ids) else 0)
        self.stored.clear()

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``instances``, ``graph``, ``crops`` and ``labels``."""
        terms = {}
        groups = [part for part in (step.large, step.labelled) if part is not None]
        labels = torch.cat([torch.full_like(step.unlabelled_ids, -1), step.labels])
        if len(labels):
            first, second = _views(groups, "projector")
            terms["instances"] = paired_contrast(
                first,
                second,
                temperature=self.temperature,
                allow=~same_class(labels, labels),
            )
            terms["graph"] = self._graph(_views(groups, "auxiliary"), labels)
        if step.large is not None and step.small is not None and step.batch_size:
            first = step.large["projector"][: step.batch_size].detach()
            terms["crops"] = self._crops(step, step.small, functional.normalize(first, dim=1))
        if step.labelled is not None:
            terms["labels"] = view_label_cross_entropy(
                step.labelled["classifier"], step.labels, smoothing=self.smoothing
            )
        return terms

    def _graph(self, views: Tensor, labels: Tensor) -> Tensor:
        """Each view's supervised contrast with the weak labels of the other one."""
        first, second = (weak_relation(view, labels) for view in views)
        loss = relation_contrast(views[0], second, temperature=self.temperature)
        return (loss + relation_contrast(views[1], first, temperature=self.temperature)) / 2

    def _crops(self, step: Step, small: Outputs, rows: Tensor) -> Tensor:
        """Small views: their image's stored neighbours against the other images of the batch."""
        ids = step.unlabelled_ids
        self.stored.push(rows, ids=ids)
        others = ids[:, None] != torch.arange(self.stored.slots, device=ids.device)
        weights = self.stored.weights(self.stored.search(rows, self.neighbours, others))
        present = torch.zeros_like(others[0]).index_fill(0, ids, True)
        allow = others & (present | (weights > 0))
        views = len(small) // len(ids)
        return contrast(
            self.stored.scores(functional.normalize(small["projector"], dim=1)),
            weights.repeat(views, 1),
            temperature=self.temperature,
            allow=allow.repeat(views, 1),
        )

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits."""
        return outputs["classifier"]


def _views(groups: list[Outputs], head: str) -> Tensor:
    """The outputs [2, N, D] of all groups, by view."""
    rows = [part[head] for part in groups]
    return torch.cat([each.view(2, len(each) // 2, each.shape[1]) for each in rows], dim=1)

"""WCL: images linked by nearest neighbours share a weak label, and contrast works on both.

Source: Zheng et al. 2021, "Weakly supervised contrastive learning". One head tells instances apart;
another one groups them: connected components of the nearest-neighbour graph of one view are the
weak labels of a supervised contrast in the other view. Small views are those of the paper's k-NN
multi-crop: crops of an image's neighbours are to be told from the batch by that image. Labels are
not in the paper: here labelled images of a class are linked, those of two classes never share a
weak label, and a linear classifier on the features, which is what predicts, is trained on the
labels.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.components import weak_relation
from contsemi.assign.relation import same_class
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.neighbourhood import Neighbourhood
from contsemi.errors import InputError
from contsemi.losses.contrast import paired_contrast, relation_contrast, view_contrast
from contsemi.objectives.objective import Objective
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Wcl(Objective):
    """Contrast of instances and of weak labels."""

    idle: ClassVar = {key: {"small_views": [0]} for key in ("neighbours", "weights.crops")}

    temperature: float  # of all cosines
    neighbours: int  # nearest images that each small view is drawn from
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        if not {self.large_views, self.labelled_views} <= {0, 2}:
            raise InputError(
                "objective.large_views or objective.labelled_views",
                "the two views of an image give each other their weak labels",
                "use 2, or 0",
            )
        if self.small_views and not self.large_views:
            problem = "small views are told by an image's large ones, of which there are none"
            raise InputError("objective.small_views", problem, "set it to 0, or large_views to 2")
        # else nobody would read the table
        self.near = Neighbourhood(self.neighbours) if self.small_views else None
        self.needs = self.asks("projector", "auxiliary", "classifier", near=self.near)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``instances``, ``graph``, ``crops`` and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        labels = torch.cat([torch.full_like(step.unlabelled_ids, -1), step.labels])
        if len(labels):
            first, second = self._pairs(step, "projector")
            terms["instances"] = paired_contrast(
                first, second, temperature=self.temperature, allow=~same_class(labels, labels)
            )
            terms["graph"] = self._graph(self._pairs(step, "auxiliary"), labels)
        large, small = step.student("large"), step.student("small")
        if self.near is not None and large is not None and small is not None:
            rows = functional.normalize(large["projector"].detach(), dim=1)
            self.near.push(rows[: step.batch_size], step.places)
            terms["crops"] = view_contrast(
                small["projector"],
                rows,
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
        return terms

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """A state of an earlier version may hold a table that nobody read: it is left out."""
        if self.near is None:
            for key in [key for key in state_dict if key.startswith(f"{prefix}near.")]:
                del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _pairs(self, step: Step, head: str) -> Tensor:
        """What a head says of the two views of all images [2, B + L, D], unlabelled first."""
        parts = [
            part[head] for name in ("large", "labelled") if (part := step.student(name)) is not None
        ]
        return torch.cat([part.view(2, len(part) // 2, part.shape[1]) for part in parts], dim=1)

    def _graph(self, views: Tensor, labels: Tensor) -> Tensor:
        """Each view's supervised contrast with the weak labels of the other one."""
        weak = [weak_relation(view, labels) for view in views]
        losses = [
            relation_contrast(view, relation, temperature=self.temperature)
            for view, relation in zip(views, reversed(weak), strict=True)
        ]
        return torch.stack(losses).mean()

"""Views that predict where the target of another view lies: what regression methods share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide
from contsemi.losses.regression import swapped_regression
from contsemi.types import Outputs, Step


@dataclass(frozen=True, slots=True)
class Predicted:
    """N images with V views that predict and T <= V views that are targets; rows are view-major.

    Attributes:
        predictions: [V * N, D] of the network, those of the target views first.
        targets: [T * N, D] unit embeddings of the slow network, without gradient.
        labels: int64 [T * N], columns; -1 for unlabelled images.
        ids: int64 [T * N], stream-wide ids.
        size: N.
        labelled: whether the images have labels.
    """

    predictions: Tensor
    targets: Tensor
    labels: Tensor
    ids: Tensor
    size: int
    labelled: bool


def predicted(step: Step) -> list[Predicted]:
    """The unlabelled and the labelled images of a step, in this order; what it lacks is left out.

    The predictions are those of the head ``predictor``, and the targets what the EMA network's
    ``projector`` says of the large and of the labelled views.
    """
    groups = []
    teacher, labelled = step.teacher("large"), step.student("labelled")
    if teacher is not None:
        views = [part for name in ("large", "small") if (part := step.student(name)) is not None]
        groups.append(_predicted(views, teacher, step.unlabelled_ids, None))
    teacher = step.teacher("labelled")
    if labelled is not None and teacher is not None:
        groups.append(_predicted([labelled], teacher, step.labelled_ids, step.labels))
    return groups


def _predicted(
    views: list[Outputs], teacher: Outputs, ids: Tensor, labels: Tensor | None
) -> Predicted:
    targets = F.normalize(wide(teacher["projector"].detach()), dim=1)
    number = len(targets) // len(ids)
    return Predicted(
        predictions=torch.cat([view["predictor"] for view in views]),
        targets=targets,
        labels=(torch.full_like(ids, -1) if labels is None else labels).repeat(number),
        ids=ids.repeat(number),
        size=len(ids),
        labelled=labels is not None,
    )


def regression(groups: Sequence[Predicted], targets: Tensor) -> Tensor:
    """Mean of :func:`swapped_regression` over the images of all groups.

    Args:
        groups: at least one.
        targets: [R, D], of the target rows of all groups, one group after the other.
    """
    total = sum(group.size for group in groups)
    parts = torch.split(targets, [len(group.targets) for group in groups])
    return sum(
        (
            swapped_regression(group.predictions, part, batch_size=group.size)
            * (group.size / total)
            for group, part in zip(groups, parts, strict=True)
        ),
        torch.zeros((), device=targets.device),
    )

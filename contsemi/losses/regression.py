"""Regression: each view predicts where the target of another view lies on the sphere."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import sum_of_others, wide
from contsemi.types import Outputs, Step

__all__ = ["Predicted", "class_means", "predicted", "regression", "swapped_regression"]


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
    if step.teacher is not None and step.batch_size:
        views = [part for part in (step.large, step.small) if part is not None]
        groups.append(_predicted(views, step.teacher, step.unlabelled_ids, None))
    if step.labelled is not None and step.teacher_labelled is not None:
        groups.append(
            _predicted([step.labelled], step.teacher_labelled, step.labelled_ids, step.labels)
        )
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


def swapped_regression(predictions: Tensor, targets: Tensor, *, batch_size: int) -> Tensor:
    """Mean of 2 - 2 <q_v, u_t> over images and all pairs of a view v and a target view t != v.

    That is the squared distance where both are of unit length. It is linear in the target, so the
    weighted mean of several targets, not brought back to unit length, gives the weighted mean of
    their distances: BYOL's own target, mean shift's neighbours and a class are all one formula.

    Args:
        predictions: [V * B, D] of all views, view-major, those that have a target first; of any
            length.
        targets: [T * B, D] unit rows or means of unit rows; no gradient flows into them.
        batch_size: B.

    Returns:
        A scalar in [0, 4]; zero if B is 0 or if there is no pair.

    Raises:
        ValueError: the rows are not whole views, or there are more targets than views.

    Source: Grill et al. 2020, eq. 2 (BYOL); Koohpayegani et al. 2021, eq. 2 (MSF).
    """
    if batch_size == 0:
        return wide(predictions).sum()
    views, spare = divmod(len(predictions), batch_size)
    aims, spare_targets = divmod(len(targets), batch_size)
    if spare or spare_targets or not 0 < aims <= views:
        raise ValueError(
            f"{len(predictions)} predictions and {len(targets)} targets are not whole views of "
            f"{batch_size} images with at least as many views as targets"
        )
    pairs = aims * (views - 1)
    unit = F.normalize(wide(predictions), dim=1).view(views, batch_size, -1)
    target = wide(targets.detach()).view(aims, batch_size, -1)
    # Each view once with the sum of the targets it has.
    agreement = (sum_of_others(target) * unit[:aims]).sum()
    agreement = agreement + (target.sum(dim=0) * unit[aims:]).sum()
    return 2 * (pairs > 0) - 2 * agreement / max(pairs * batch_size, 1)


@torch.no_grad()
def class_means(rows: Tensor, labels: Tensor) -> Tensor:
    """For each row the mean of all rows of its class.

    Args:
        rows: [N, D], unit embeddings.
        labels: int64 [N].

    Returns:
        [N, D], without gradient, of length up to 1.
    """
    same = (labels[:, None] == labels).to(rows.dtype)
    return same / same.sum(dim=1, keepdim=True) @ rows

"""Coarse labels: what is known of the classes above, and which images have theirs alone."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.data.imageset import ImageSet
from contsemi.errors import InputError
from contsemi.seeding import generator

__all__ = ["coarse_classes", "coarse_rows", "refuse_without_coarse"]

Integers = NDArray[np.int64]


def coarse_classes(order: Sequence[int], train: ImageSet) -> tuple[Tensor, int]:
    """The coarse class of each column, -1 for a class of several or of none, and their number."""
    above = torch.full((len(order),), -1)
    if train.coarse is None:
        return above, 0
    for column, number in enumerate(order):
        found = train.coarse[train.targets == number]
        if (found == found[:1]).all():
            above[column] = found[0]
    named = train.coarse_classes
    return above, int(train.coarse.max()) + 1 if named is None else len(named)


def coarse_rows(
    share: float, offered: Integers, labelled: Integers, targets: Tensor, seed: int, task: int
) -> Integers:
    """Rows of a task whose coarse label is bought: the same share of each fine class.

    Args:
        share: of the images without a fine label, in [0, 1].
        offered: rows of the task's images of classes that have labels.
        labelled: rows with a fine label, which are left out.
        targets: int64 [N], true class ids.
        seed: of the draw.
        task: from 0.

    Returns:
        int64, ascending.
    """
    free = offered[~np.isin(offered, labelled)]
    classes, chosen = targets.numpy()[free], [np.zeros(0, np.int64)]
    for number in np.unique(classes).tolist() if share else []:
        rows = free[classes == number]
        draw = generator(seed, "coarse labels", task, number)
        order = torch.randperm(len(rows), generator=draw).numpy()
        chosen.append(rows[order[: math.floor(share * len(rows) + 0.5)]])
    return np.sort(np.concatenate(chosen))


def refuse_without_coarse(share: float, train: ImageSet) -> None:
    """Raises where coarse labels are asked for of images that have none.

    Raises:
        InputError: they are.
    """
    if share and train.coarse is None:
        problem = f"{train.name} has no coarse classes"
        raise InputError("coarse_ratio", problem, "set coarse_ratio=0, or take CIFAR-100")

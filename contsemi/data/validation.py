"""Labels of the budget that are tested on instead of trained on, to choose settings by."""

import hashlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from contsemi.data.imageset import ImageSet, fingerprint
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, draw
from contsemi.stores.store import Images, ImageStore


def held_out(
    train: ImageSet,
    budget: LabelBudget,
    share: float,
    *,
    allowed: NDArray[np.bool_],
    seed: int,
) -> tuple[ImageSet, ImageSet, LabelBudget]:
    """Takes a share of the labels, and their images, out of training.

    Args:
        train: training images.
        budget: of labels, those held out among them.
        share: of each class's labels that is held out, in (0, 1).
        allowed: bool [N], whether an image may get a label.
        seed: of the draw.

    Returns:
        The images left to train on; those held out; and the budget that is left for the former.
        Labels left and labels held out are as many as the budget has.

    Raises:
        InputError: a class would have no label left on one of the two sides.
    """
    key = "scenario.validation"
    targets = train.targets.numpy()
    candidates = np.flatnonzero(allowed)
    if budget.per_class is not None:
        out = max(1, round(share * budget.per_class))
        own = LabelBudget(per_class=out)
        if (left := budget.per_class - out) < 1:
            problem = f"{share:g} of {budget} leaves a class without a label to train on"
            raise InputError(key, problem, "raise label_ratio")
        rest = LabelBudget(per_class=left)
    elif budget.ratio is not None:
        own = LabelBudget(ratio=budget.ratio * Fraction(str(share)))
    else:
        raise InputError(
            key, "is for one label budget, not one a task", "give label_ratio one value"
        )
    chosen = draw(own, targets[candidates], seed=seed, names=train.classes)
    rows = np.sort(candidates[chosen])
    if budget.ratio is not None:
        total, taken = len(candidates), len(rows)
        rest = LabelBudget(ratio=(budget.ratio * total - taken) / (total - taken))
    stay = np.ones(len(train), dtype=bool)
    stay[rows] = False
    return _part(train, np.flatnonzero(stay)), _part(train, rows), rest


def _part(images: ImageSet, rows: NDArray[np.int64]) -> ImageSet:
    """Some of the images."""
    index = torch.from_numpy(rows)
    targets, whole = images.targets[index], images.images
    found: Images
    if isinstance(whole, ImageStore):
        found = whole.some(index)
        of = f"{images.digest} {fingerprint(np.zeros(0, np.uint8), rows)}"
        digest = hashlib.sha256(of.encode()).hexdigest()
    else:
        found = whole[index]
        digest = fingerprint(found.numpy(), targets.numpy())
    return replace(
        images,
        images=found,
        targets=targets,
        coarse=None if images.coarse is None else images.coarse[index],
        arrives=None if images.arrives is None else images.arrives[index],
        files=None if images.files is None else tuple(images.files[row] for row in rows),
        digest=digest,
    )

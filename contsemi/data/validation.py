"""Labels of the budget that are tested on instead of trained on, to choose settings by."""

import hashlib
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from contsemi.data.imageset import ImageSet, fingerprint
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, draw
from contsemi.seeding import generator
from contsemi.stores.store import Images, ImageStore

Integers = NDArray[np.int64]


def held_out(
    train: ImageSet,
    budget: LabelBudget,
    share: float,
    *,
    labelled: Integers,
    allowed: NDArray[np.bool_],
    seed: int,
) -> tuple[ImageSet, ImageSet, LabelBudget, Integers | None]:
    """Takes a share of the labels, and their images, out of training.

    Labels that are drawn are those that the run has without it, so that what is chosen by them
    rests on no label that the run is not to know. Where a network chooses before each task, they
    are a draw of as many.

    Args:
        train: training images.
        budget: of labels, those held out among them.
        share: of each class's labels that is held out, in (0, 1); one label at least.
        labelled: int64 [n], rows of the labelled images; none where a network chooses them.
        allowed: bool [N], whether an image may get a label.
        seed: of the draw.

    Returns:
        The images left to train on; those held out; the budget that is left for the former; and
        the rows among them that have their label, ``None`` where a network chooses. Labels left
        and labels held out are as many as the budget has.

    Raises:
        InputError: a class would have no label left on one of the two sides.
    """
    key = "scenario.validation"
    if budget.per_task:
        raise InputError(
            key, "is for one label budget, not one a task", "give label_ratio one value"
        )
    targets, candidates = train.targets.numpy(), np.flatnonzero(allowed)
    bought = labelled
    if not len(labelled):
        bought = candidates[draw(budget, targets[candidates], seed=seed, names=train.classes)]
    rows = _of_each_class(np.sort(bought), targets, share, seed)
    if len(np.unique(targets[np.setdiff1d(bought, rows)])) < len(np.unique(targets[bought])):
        problem = f"{share:g} of {budget} leaves a class without a label to train on"
        raise InputError(key, problem, "raise label_ratio")
    stay = np.ones(len(train), dtype=bool)
    stay[rows] = False
    if budget.per_class is not None:
        taken = len(rows) // len(np.unique(targets[rows]))  # the same of each class
        rest = LabelBudget(per_class=budget.per_class - taken)
    else:
        assert budget.ratio is not None
        total = len(candidates)
        rest = LabelBudget(ratio=(budget.ratio * total - len(rows)) / (total - len(rows)))
    number = np.cumsum(stay) - 1  # of each image among those that stay
    left = number[labelled[stay[labelled]]] if len(labelled) else None
    return _part(train, np.flatnonzero(stay)), _part(train, rows), rest, left


def _of_each_class(rows: Integers, targets: Integers, share: float, seed: int) -> Integers:
    """Some of the rows of each class, ascending."""
    random = generator(seed, "validation")
    found = []
    for label in np.unique(targets[rows]):
        own = rows[targets[rows] == label]
        order = torch.randperm(len(own), generator=random).numpy()
        found.append(own[order[: max(1, round(share * len(own)))]])
    return np.sort(np.concatenate(found))


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

"""The default images: 1,797 real handwritten digits that come with scikit-learn; no download."""

import math
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contsemi.data.imageset import ImageSet
from contsemi.data.sources.decode import resize
from contsemi.labels import LabelBudget
from contsemi.labels.draw import draw

SPLIT_SEED = 0
TEST_SHARE = 0.2


def load(size: int | None) -> tuple[ImageSet, ImageSet]:
    """1,437 training and 360 test images of 10 classes.

    The 8 x 8 grey values 0..16 are scaled to 0..255 and repeated in three channels. The split is
    scikit-learn's stratified one with seed 0; both halves keep the order of the dataset.

    Args:
        size: side in pixels; ``None`` keeps 8.
    """
    values, targets = _digits()
    grey = np.rint(values.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = resize(np.repeat(grey[:, None], 3, axis=1), size)
    classes = tuple(map(str, range(10)))
    learned = LabelBudget(ratio=1 - Fraction(math.ceil(TEST_SHARE * len(targets)), len(targets)))
    first = np.sort(draw(learned, targets, seed=SPLIT_SEED, names=classes))
    train, test = (
        ImageSet.of(images[rows], targets[rows], classes=classes, name="digits")
        for rows in (first, np.setdiff1d(np.arange(len(targets)), first))
    )
    return train, test


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Grey values [1797, 64] and classes [1797]: of scikit-learn's file, without its import.

    The import takes longer than all else between the command and the first step but torch.
    """
    package = find_spec("sklearn")
    folders = (package and package.submodule_search_locations) or ()
    files = [Path(folder, "datasets/data/digits.csv.gz") for folder in folders]
    if file := next(filter(Path.is_file, files), None):
        rows = np.loadtxt(file, delimiter=",")
        return rows[:, :-1], rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.data, digits.target.astype(np.int64)

"""The default images: 1,797 real handwritten digits that come with scikit-learn; no download."""

import numpy as np

from contsemi.data.imageset import ImageSet
from contsemi.data.sources.decode import resize

__all__ = ["load"]

SPLIT_SEED = 0
TEST_SHARE = 0.2


def load(size: int | None) -> tuple[ImageSet, ImageSet]:
    """1,437 training and 360 test images of 10 classes.

    The 8 x 8 grey values 0..16 are scaled to 0..255 and repeated in three channels. The split is
    scikit-learn's stratified one with seed 0; both halves keep the order of the dataset.

    Args:
        size: side in pixels; ``None`` keeps 8.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images = resize(np.repeat(grey[:, None], 3, axis=1), size)
    targets = digits.target.astype(np.int64)
    halves = train_test_split(
        np.arange(len(targets)), test_size=TEST_SHARE, stratify=targets, random_state=SPLIT_SEED
    )
    classes = tuple(map(str, range(10)))
    train, test = (
        ImageSet.of(images[rows], targets[rows], classes=classes, name="digits")
        for rows in map(np.sort, halves)
    )
    return train, test

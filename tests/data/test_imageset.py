import hashlib

import numpy as np

from contsemi.data.imageset import ImageSet, fingerprint


def test_the_fingerprint_is_of_pixels_and_labels() -> None:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    targets = np.array([3, 1])
    expected = hashlib.sha256(images.tobytes() + np.array([3, 1], "<i8").tobytes()).hexdigest()
    assert fingerprint(images, targets) == expected
    assert fingerprint(np.asfortranarray(images), targets) == expected
    assert fingerprint(images[::-1], targets) != expected
    assert fingerprint(images, targets[::-1]) != expected


def test_arrays_are_shared_not_copied() -> None:
    images, targets = np.zeros((5, 3, 4, 4), np.uint8), np.arange(5)
    made = ImageSet.of(images, targets, classes=("a",) * 5, name="x", coarse=targets)
    images[0] = 7
    assert made.images[0, 0, 0, 0] == 7
    assert (len(made), made.size) == (5, 4)
    assert made.coarse is not None
    assert made.coarse.tolist() == [0, 1, 2, 3, 4]

"""Images that are there twice: once for each of two classes, or for training and for the test."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Digests = NDArray[np.uint64]


def row_digests(images: NDArray[np.uint8]) -> Digests:
    """A 64-bit digest of the pixels of each image [N, 3, S, S], uint64 [N]."""
    digests = (hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=8) for row in images)
    numbers = (int.from_bytes(digest.digest(), "little") for digest in digests)
    return np.fromiter(numbers, np.uint64, len(images))


def twins(
    train: Digests, targets: NDArray[np.int64], test: Digests, names: Sequence[str]
) -> list[str]:
    """What is to be said about equal images; empty where there are none.

    Args:
        train: digests [N] of the training images.
        targets: int64 [N], their class ids, -1 for none.
        test: digests [M] of the test images.
        names: what to call each training image.
    """
    said = []
    order = np.lexsort((targets, train))
    same = train[order][1:] == train[order][:-1]
    other = (targets[order][1:] != targets[order][:-1]) & (targets[order][:-1] >= 0)
    if len(pairs := np.flatnonzero(same & other)):
        first, second = sorted(order[pairs[0] : pairs[0] + 2].tolist())
        example = f"{names[first]} is {names[second]}"
        said.append(f"{len(pairs)} training images stand in two classes, for example {example}")
    if shared := int(np.isin(test, train).sum()):
        said.append(f"{shared} of {len(test)} test images are training images too")
    return said

"""Images that are there twice: once for each of two classes, or for training and for the test."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Digests = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The images of a split.

    Attributes:
        digests: [N], of the pixels of each.
        targets: int64 [N], their class ids, -1 for none.
        names: what to call each.
    """

    digests: Digests
    targets: NDArray[np.int64]
    names: Sequence[str]

    @staticmethod
    def numbered(split: str, digests: Digests, targets: NDArray[np.int64]) -> "Rows":
        """Images without names of their own: ``train row 0`` and so on."""
        return Rows(digests, targets, [f"{split} row {row}" for row in range(len(targets))])


def row_digests(images: NDArray[np.uint8]) -> Digests:
    """A 64-bit digest of the pixels of each image [N, 3, S, S], uint64 [N]."""
    digests = (hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=8) for row in images)
    numbers = (int.from_bytes(digest.digest(), "little") for digest in digests)
    return np.fromiter(numbers, np.uint64, len(images))


def twins(train: Rows, test: Rows) -> list[str]:
    """What is to be said about equal images; empty where there are none."""
    said = []
    order = np.lexsort((train.targets, train.digests))
    targets, digests = train.targets[order], train.digests[order]
    clash = (targets[1:] != targets[:-1]) & (targets[:-1] >= 0) & (digests[1:] == digests[:-1])
    if len(pairs := np.flatnonzero(clash)):
        first, second = sorted(order[pairs[0] : pairs[0] + 2].tolist())
        example = f"{train.names[first]} is {train.names[second]}"
        said.append(f"{len(pairs)} training images stand in two classes, for example {example}")
    said += _of_the_test(train, test)
    if shared := int(np.isin(test.digests, train.digests).sum()):
        said.append(f"{shared} of {len(test.digests)} test images are training images too")
    return said


def _of_the_test(train: Rows, test: Rows) -> list[str]:
    """Test images of which an equal one, on either side, has another class."""
    both = np.concatenate([train.digests, test.digests])
    targets = np.concatenate([train.targets, test.targets])
    order = np.lexsort((targets, both))
    order = order[targets[order] >= 0]
    pictures, starts = np.unique(both[order], return_index=True)
    if not len(pictures):
        return []
    ends = np.append(starts[1:], len(order)) - 1
    unlike = pictures[targets[order[starts]] != targets[order[ends]]]
    wrong = np.flatnonzero(np.isin(test.digests, unlike) & (test.targets >= 0))
    if not len(wrong):
        return []
    one, size = int(wrong[0]), len(train.digests)
    same = np.flatnonzero((both == test.digests[one]) & (targets >= 0))
    other = int(same[targets[same] != test.targets[one]][0])
    name = train.names[other] if other < size else test.names[other - size]
    problem = f"{len(wrong)} of {len(test.digests)} test images stand in another class, too"
    return [f"{problem}, for example {test.names[one]} is {name}"]

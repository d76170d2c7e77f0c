"""Images that were decoded once: one array, its labels, and what identifies them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.stores.store import Images, side_of


class Named(NamedTuple):
    """What is known of a split before an image is decoded.

    Attributes:
        targets: int64 [N], class ids, -1 for images without a label.
        classes: name of each class id.
        files: path of each image below the root, where images are files.
    """

    targets: NDArray[np.int64]
    classes: tuple[str, ...]
    files: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """A split of a dataset.

    Attributes:
        images: uint8 [N, 3, S, S], or [N, 4, S, S] with masks (:mod:`contsemi.data.masks`), maybe
            a private view of a memory-mapped file; or a store of images that are in no array.
        targets: int64 [N], class ids; -1 for images whose label nobody knows.
        coarse: int64 [N], super-class ids, where the dataset has them.
        classes: name of each class id.
        coarse_classes: name of each super-class id.
        name: name of the dataset.
        digest: SHA-256 of the pixels and the targets, hexadecimal.
        remarks: what a user should know of these images, one line each.
        files: path of each image below the root, where images are files.
        arrives: int64 [N], number of the task that an image without a label comes with; -1 for
            any.
        place: the folder that holds them.
    """

    images: Images
    targets: Tensor
    coarse: Tensor | None
    classes: tuple[str, ...]
    coarse_classes: tuple[str, ...] | None
    name: str
    digest: str
    remarks: tuple[str, ...] = ()
    files: tuple[str, ...] | None = None
    arrives: Tensor | None = None
    place: Path | None = None

    @classmethod
    def of(
        cls,
        images: NDArray[np.uint8],
        targets: NDArray[np.int64],
        *,
        classes: tuple[str, ...],
        name: str,
        coarse: NDArray[np.int64] | None = None,
        coarse_classes: tuple[str, ...] | None = None,
        digest: str | None = None,
        remarks: tuple[str, ...] = (),
        files: tuple[str, ...] | None = None,
        arrives: NDArray[np.int64] | None = None,
        place: Path | None = None,
    ) -> Self:
        """Wraps arrays without copying them; the digest is computed unless it is known."""
        return cls(
            images=torch.from_numpy(images),
            targets=torch.from_numpy(targets),
            coarse=None if coarse is None else torch.from_numpy(coarse),
            classes=classes,
            coarse_classes=coarse_classes,
            name=name,
            digest=digest or fingerprint(images, targets),
            remarks=remarks,
            files=files,
            arrives=None if arrives is None else torch.from_numpy(arrives),
            place=place,
        )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def named(self) -> Named:
        """What was known before the images were decoded."""
        return Named(self.targets.numpy(), self.classes, self.files)

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return side_of(self.images)


def fingerprint(images: NDArray[np.uint8], targets: NDArray[np.int64]) -> str:
    """SHA-256 of pixels [N, 3, S, S] and targets [N], independent of where they were read from."""
    digest = hashlib.sha256(np.ascontiguousarray(images).data)
    digest.update(targets.astype("<i8").tobytes())
    return digest.hexdigest()

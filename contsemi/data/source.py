"""Opens the images that a configuration names."""

import torch

from contsemi.config import Data
from contsemi.data.imageset import ImageSet
from contsemi.data.sources.listing import shown
from contsemi.data.sources.source import Check, Source
from contsemi.errors import InputError, MethodFailed


def load(data: Data, dataset: str, check: Check | None = None) -> tuple[ImageSet, ImageSet]:
    """Training and test images of a dataset.

    Args:
        data: where the images lie and how they are decoded.
        dataset: ``digits``, ``cifar10``, ``cifar100`` or ``folder``.
        check: is told the labels of both splits before the images of strangers are decoded; what
            it raises is raised.

    Raises:
        InputError: nothing usable lies at ``data.root``; one line says what was expected.
        StorageFailed: the cache of decoded images cannot be written.
    """
    try:
        source = Source.named(data.source)
        splits = source.load(data, dataset, check or (lambda train, test: None))
        if not isinstance(splits, tuple) or len(splits) != 2 or not all(map(_sound, splits)):
            wanted = "two ImageSets, of uint8 images, their names, and an id of -1 or one of these"
            raise MethodFailed.returned(source.load, splits, f"{wanted} for each image")
        return splits
    except OSError as error:
        reason = error.strerror or str(error)
        what = f": {shown(error.filename)}" if isinstance(error.filename, str) else ""
        problem = f"cannot be read ({reason}{what})"
        fix = "mend its rights, or give another folder"
        raise InputError(f"data.root={shown(str(data.root))}", problem, fix) from error


def _sound(split: object) -> bool:
    if not isinstance(split, ImageSet) or not isinstance(split.classes, tuple):
        return False
    ids, types = split.targets, (getattr(split.images, "dtype", torch.uint8), split.targets.dtype)
    named = all(isinstance(name, str) for name in split.classes)
    in_range = bool(((ids >= -1) & (ids < len(split.classes))).all())
    return named and in_range and types == (torch.uint8, torch.int64) and len(ids) == len(split)

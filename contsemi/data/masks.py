"""Foreground masks: a fourth channel of the training images, for views that change backgrounds.

They are the user's own (``masks/`` beside ``train/``, with the same paths below it), or made of the
images' spectra without any network. Images and masks together are written once, as an entry of the
cache, so that all processes of a machine share their pages.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.config import Views
from contsemi.data.imageset import ImageSet
from contsemi.data.sources.cache import file_state, key, written
from contsemi.data.sources.decode import Unreadable, decode, side_lengths
from contsemi.errors import InputError
from contsemi.stores.store import ImageStore, array_of

FOREGROUND = 255
FOLDER = "masks"
ENDINGS = (".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg")
PIECE = 4096  # images whose masks are held at a time
NAMED_PROBLEMS = 5

# Images uint8 [n, 3, S, S] and the number of the first -> masks uint8 [n, S, S]
_Make = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


def wanted(views: Views) -> str | None:
    """The first policy that changes backgrounds; ``None`` where none does."""
    changing = (name for name, crop in views.policies.items() if crop.background != "none")
    return next(changing, None)


def whole(images: Tensor) -> Tensor:
    """Images [N, 3, S, S] with a mask [N, 4, S, S] that is foreground throughout."""
    full = torch.full_like(images[:, :1], FOREGROUND)
    return torch.cat([images, full], dim=1)


def with_masks(
    train: ImageSet, masks: str, cache: str | None, spectral: Callable[[Tensor], Tensor]
) -> ImageSet:
    """The training images with a fourth channel, 255 for foreground.

    Args:
        train: images [N, 3, S, S].
        masks: ``folder``, ``spectral``, or ``auto`` for the folder where there is one.
        cache: its folder; ``None`` for the user's.
        spectral: makes masks uint8 [n, S, S] of images uint8 [n, 3, S, S].

    Raises:
        InputError: ``views.masks=folder`` without such a folder, or masks that cannot be read or
            are not as their image.
        StorageFailed: the cache cannot be written.
    """
    if isinstance(train.images, ImageStore):
        problem = "the images are in shards, for which no masks are made"
        raise InputError("data.source", problem, "use data.source=folder, or background=none")
    folder = _folder(train)
    if masks == "folder" and folder is None:
        problem = f"there is no folder {FOLDER}/ beside train/"
        raise InputError("views.masks=folder", problem, "add it, or use views.masks=spectral")
    if folder is None or masks == "spectral":

        def make(images: NDArray[np.uint8], start: int) -> NDArray[np.uint8]:
            return spectral(torch.from_numpy(images)).numpy()

        made = _together(train, key("spectral masks", train.digest), cache, make)
        return _remarked(made, "foregrounds are made of the images' spectra (views.masks)")
    paths = _paths(train, folder)
    if not any(paths):
        problem = "holds no mask of any training image"
        raise InputError(str(folder), problem, "name masks as their images: masks/CLASS/NAME.png")
    states = [path and (str(path), file_state(path.stat())) for path in paths]

    def read(images: NDArray[np.uint8], start: int) -> NDArray[np.uint8]:
        return _read(paths[start : start + len(images)], train.size)

    made = _together(train, key("masks", train.digest, states), cache, read)
    if missing := sum(path is None for path in paths):
        remark = f"{missing} of {len(paths)} training images have no mask and keep their background"
        return _remarked(made, remark)
    return made


def _remarked(train: ImageSet, remark: str) -> ImageSet:
    return replace(train, remarks=(*train.remarks, remark))


def _folder(train: ImageSet) -> Path | None:
    """The user's masks: images are files below ``train/``, and ``masks/`` stands beside it."""
    if train.place is None or train.files is None:
        return None
    beside = train.place / FOLDER
    return beside if beside.is_dir() and (train.place / "train").is_dir() else None


def _paths(train: ImageSet, folder: Path) -> list[Path | None]:
    """The mask of each image, of the same name but for its ending.

    Raises:
        InputError: masks of other sides than their images.
    """
    assert train.files is not None and train.place is not None
    found: list[Path | None] = []
    problems: list[str] = []
    for name in train.files:
        below = Path(*Path(name).parts[1:])
        tried = (folder / below.with_suffix(ending) for ending in ENDINGS)
        mask = next((path for path in tried if path.is_file()), None)
        found.append(mask)
        if mask is None:
            continue
        if not mask.resolve().is_relative_to(folder.resolve()):
            problems.append(f"{mask.name} is a link out of {FOLDER}/")
        elif (theirs := side_lengths(mask)) != (own := side_lengths(train.place / name)):
            problems.append(f"{FOLDER}/{below.as_posix()} has sides {theirs}, its image {own}")
    if problems:
        more = ", ..." if len(problems) > NAMED_PROBLEMS else ""
        named = "; ".join(problems[:NAMED_PROBLEMS]) + more
        raise InputError(str(folder), named, "make masks as large as their images")
    return found


def _read(paths: list[Path | None], size: int) -> NDArray[np.uint8]:
    masks = np.full((len(paths), size, size), FOREGROUND, np.uint8)
    for number, path in enumerate(paths):
        if path is None:
            continue
        try:
            masks[number] = np.where(decode(path, size)[0] >= 128, FOREGROUND, 0)
        except Unreadable as error:
            raise InputError(str(path), str(error), "repair or remove the mask") from error
    return masks


def _together(train: ImageSet, entry: str, cache: str | None, make: _Make) -> ImageSet:
    """Images and masks as one array, a memory map."""

    def pieces() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(train), PIECE):
            images = array_of(train.images)[start : start + PIECE].numpy()
            yield np.concatenate([images, make(images, start)[:, None]], axis=1)

    labels, size = train.targets.numpy(), train.size
    return replace(train, images=written(cache, entry, labels, pieces(), size=size, channels=4))

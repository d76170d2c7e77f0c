"""The user's Avalanche datasets as one uint8 array, decoded once."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from contsemi.data.sources import decode as pillow
from contsemi.errors import InputError, article
from contsemi.strategies.rows import as_uint8

LARGEST_ID = 99_999  # Avalanche's heads have a column for each id up to the largest
RAW = "build the benchmark with ToTensor() alone, contsemi normalises and augments by itself"


def decode(datasets: Sequence[Any], size: int | None, where: str) -> tuple[Tensor, list[list[int]]]:
    """All items of some datasets, in order.

    Items are read in the ``eval`` transform group, so that no random augmentation is baked in.

    Args:
        datasets: Avalanche datasets whose items begin with an image and a class id.
        size: side to resize to; ``None`` keeps the images' own.
        where: what the datasets are, for errors.

    Returns:
        uint8 [N, 3, S, S] and the class ids of each dataset.

    Raises:
        InputError: an experience is empty, an item is no pair of an image and a class id, is
            normalised or too dark to be seen, has another size than the first, or its class id is
            not the one that ``dataset.targets`` says.
    """
    total = sum(len(dataset) for dataset in datasets)
    if not total:
        raise InputError(where, "holds no image", "give a benchmark with images in this stream")
    images: Tensor | None = None
    targets: list[list[int]] = []
    row = 0
    for position, dataset in enumerate(datasets):
        dataset, ids = dataset.eval(), []
        place = f"{where} experience {position}"
        if not len(dataset):
            raise InputError(place, "holds no image", "leave the experience out")
        for index in range(len(dataset)):
            here = f"{place} item {index}"
            item = _item(dataset, index, here)
            image = _resized(decode_image(item[0], here), size, here)
            if images is None:
                images = torch.empty(total, *image.shape, dtype=torch.uint8)
            if image.shape != images.shape[1:]:
                sides = f"{_sides(image)} where the first image is {_sides(images[0])}"
                raise InputError(here, sides, "pass size=, the side to resize all images to")
            images[row] = image
            ids.append(_class_id(item[1], here))
            row += 1
        _check_ids(ids, dataset, place)
        targets.append(ids)
    assert images is not None
    if images.max() == 1:
        problem = "holds bytes of 0 and 1 alone, which are as dark as black"
        raise InputError(where, problem, "give bytes up to 255, or floats in [0, 1]")
    return images, targets


def _item(dataset: Any, index: int, where: str) -> Any:
    """Image and class id of an item, and whatever comes after them."""
    fix = "give items that begin with an image and a class id"
    try:
        item = dataset[index]
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        problem = f"cannot be read ({type(error).__name__}: {str(error)[:120]})"
        raise InputError(where, problem, fix) from error
    if not isinstance(item, Sequence) or isinstance(item, str):
        raise InputError(where, f"is {article(type(item).__name__)}, not a tuple", fix)
    if len(item) < 2:
        raise InputError(where, "holds an image alone, without a class id", fix)
    return item


def _class_id(value: Any, where: str) -> int:
    """A whole number, also as an array or a tensor of one element."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        text = " ".join(repr(value).split())[:40]
        fix = "give class ids as whole numbers from 0 on"
        raise InputError(where, f"has the label {text}, not a class id", fix)
    number = int(value)
    if number > LARGEST_ID:
        raise InputError(where, f"has the class id {number}", f"number classes up to {LARGEST_ID}")
    return number


def decode_image(item: Any, where: str) -> Tensor:
    """One image as uint8 [3, H, W].

    Args:
        item: PIL image of any mode, array [H, W] or [H, W, channels], or tensor [H, W] or
            [channels, H, W] with 1 or 3 channels; uint8, or floating in [0, 1].
        where: which item, for errors.

    Raises:
        InputError: it is none of these.
    """
    if hasattr(item, "convert"):
        image = _from_pil(item, where)
    elif isinstance(item, np.ndarray):
        image = torch.from_numpy(np.ascontiguousarray(item))
        image = image.permute(2, 0, 1) if image.ndim == 3 else image
    elif isinstance(item, Tensor):
        image = item
    else:
        kind = type(item).__name__
        raise InputError(where, f"is a {kind}, not an image", "give PIL images or tensors")
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        shape = list(image.shape)
        raise InputError(where, f"has the shape {shape}", "give images [1 or 3, height, width]")
    check_range(image, where)
    return as_uint8(image[None])[0]


def _from_pil(image: Any, where: str) -> Tensor:
    """By the same rule for modes, transparency and 16 bits as image files."""
    try:
        return torch.from_numpy(np.array(pillow.to_rgb(image))).permute(2, 0, 1)
    except pillow.Unreadable as error:
        raise InputError(where, str(error), "convert the image to RGB") from error


def check_range(image: Tensor, where: str) -> None:
    """Refuses images that are neither uint8 nor floating in [0, 1].

    Raises:
        InputError: they are of another type, or normalised.
    """
    if image.dtype == torch.uint8:
        return
    if not image.is_floating_point():
        raise InputError(where, f"holds {image.dtype}", "give uint8, or floats in [0, 1]")
    low, high = float(image.min()), float(image.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise InputError(where, f"holds values from {low:.3g} to {high:.3g}, not in [0, 1]", RAW)


def _resized(image: Tensor, size: int | None, where: str) -> Tensor:
    if size is not None and image.shape[1:] != (size, size):
        image = functional.center_crop(functional.resize(image, [size]), [size])
    if image.shape[1] != image.shape[2]:
        raise InputError(where, f"is {_sides(image)}, not square", "pass size=, the side to use")
    return image


def _sides(image: Tensor) -> str:
    return f"{image.shape[1]} x {image.shape[2]}"


def _check_ids(ids: list[int], dataset: Any, where: str) -> None:
    """Avalanche can show other targets than its items have, and -1 is a class to it."""
    claimed = getattr(dataset, "targets", None)
    if claimed is not None and list(claimed) != ids:
        raise InputError(
            where,
            "dataset.targets and the labels of its items differ",
            "change the labels in the source dataset, before Avalanche wraps it",
        )
    if ids and min(ids) < 0:
        raise InputError(
            where,
            f"has the class id {min(ids)}",
            "give all labels; label_ratio decides which of them training may see",
        )

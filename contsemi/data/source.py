"""Finds out which layout lies at ``data.root`` and opens it."""

import re
from collections.abc import Callable
from pathlib import Path

from contsemi.config import Data
from contsemi.data.imageset import ImageSet, Named
from contsemi.data.names import OFFICIAL
from contsemi.data.sources import cifar, digits, folder, parquet
from contsemi.data.sources.listing import LAYOUT, shown
from contsemi.errors import InputError

__all__ = ["detect", "load"]

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

Check = Callable[[Named, Named], None]


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
        return _load(data, dataset, check or (lambda train, test: None))
    except OSError as error:
        reason = error.strerror or str(error)
        what = f": {shown(error.filename)}" if isinstance(error.filename, str) else ""
        problem = f"cannot be read ({reason}{what})"
        fix = "mend its rights, or give another folder"
        raise InputError(f"data.root={shown(str(data.root))}", problem, fix) from error


def _load(data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
    if dataset == "digits":
        if data.source not in ("auto", "bundled"):
            raise InputError("data.source", f"{data.source} holds no digits", "use source=auto")
        if data.root:
            problem = "has no effect with the bundled digits"
            raise InputError("data.root", problem, "add scenario=image_folder, or leave it out")
        return _checked(digits.load(data.size), check)
    if data.source == "bundled":
        raise InputError("data.source", f"{dataset} is not bundled", "use source=auto")
    if not data.root:
        what = LAYOUT if dataset == "folder" else f"expected {dataset}, torchvision's or parquet"
        raise InputError("data.root", "is missing", f"give data.root=<folder> ({what})")
    root = Path(data.root).expanduser()
    if root.exists() and not root.is_dir():
        raise InputError(f"data.root={shown(root)}", "is a file", "give the folder it is in")
    source = detect(data, root, dataset) if data.source == "auto" else data.source
    if source == "parquet":
        if not root.is_dir():
            root = parquet.fetch(data.root, may_download=data.download)
        return parquet.load(
            root, dataset, size=data.size, cache=data.cache, workers=data.workers, check=check
        )
    if source == "torchvision":
        if dataset not in cifar.LAYOUTS:
            raise InputError("data.source", "torchvision is for CIFAR only", "use source=auto")
        return _checked(
            cifar.load(root, dataset, size=data.size, may_download=data.download), check
        )
    train, test = folder.load(
        root,
        size=data.size,
        cache=data.cache,
        workers=data.workers,
        test_share=data.test_share,
        check=check,
    )
    _check_classes(train, dataset, root)
    return train, test


def detect(data: Data, root: Path, dataset: str) -> str:
    """The layout at ``root``: ``parquet``, ``torchvision`` or ``folder``.

    Raises:
        InputError: none of them.
    """
    layout = cifar.LAYOUTS.get(dataset)
    if root.is_dir():
        if parquet.find(root, "train"):
            return "parquet"
        if layout and cifar.find(root, layout):
            return "torchvision"
        if (root / "train").is_dir():
            return "folder"
    elif HUB_ID.fullmatch(str(data.root)) and not root.parent.exists():
        return "parquet"
    if layout:
        return "torchvision"  # which says what is missing, or fetches it
    where = f"data.root={shown(root)}"
    for other in cifar.LAYOUTS.values():
        if cifar.find(root, other):
            fix = "choose a scenario of that dataset"
            raise InputError(where, f"holds {other.title}, not a folder of images", fix)
    if root.is_dir():
        return "folder"  # which says what is missing
    raise InputError(where, "no such folder", LAYOUT)


def _checked(splits: tuple[ImageSet, ImageSet], check: Check) -> tuple[ImageSet, ImageSet]:
    """Both splits, of a source that has nothing to decode."""
    check(*(each.named for each in splits))
    return splits


def _check_classes(train: ImageSet, dataset: str, root: Path) -> None:
    """Refuses a folder of another number of classes than the dataset's."""
    expected = len(OFFICIAL.get(dataset, train.classes))
    if len(train.classes) != expected:
        problem = f"holds {len(train.classes)} classes, {dataset} has {expected}"
        raise InputError(f"data.root={shown(root)}", problem, f"give {dataset}'s folder")

"""Finds out which layout lies at ``data.root``."""

import re
from dataclasses import dataclass
from pathlib import Path

from contsemi.config import Data
from contsemi.data.imageset import ImageSet
from contsemi.data.sources import cifar, parquet
from contsemi.data.sources.listing import LAYOUT, shown
from contsemi.data.sources.source import Check, Source, root_of
from contsemi.errors import InputError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(kw_only=True, eq=False)
class Auto(Source):
    """The source that fits what is there."""

    def load(self, data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
        """By the source that :func:`detect` names."""
        name = "bundled" if dataset == "digits" else detect(data, root_of(data, dataset), dataset)
        return Source.named({"name": name}).load(data, dataset, check)


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

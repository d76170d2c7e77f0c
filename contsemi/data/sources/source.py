"""The contract of an image source: where images lie, and how they become arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from contsemi.config import Data
from contsemi.data.imageset import ImageSet, Named
from contsemi.data.sources.listing import LAYOUT, shown
from contsemi.discovery import Part
from contsemi.errors import InputError

# is told what is known of the training and the test images before one is decoded; may raise
Check = Callable[[Named, Named], None]


class Source(Part):
    """A layout of images: one file a layout.

    A source reads what the section ``data`` says, and fields of its own. Its digests decide
    whether a run that goes on has the same images.
    """

    group: ClassVar[str] = "data.source"

    def load(self, data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
        """Training and test images.

        Args:
            data: where the images lie and how they are decoded.
            dataset: what the scenario asks for: ``digits``, ``cifar10``, ``cifar100``, or
                ``folder`` for any images with classes of their own.
            check: to be called once with what is known of both splits, before images are decoded.

        Raises:
            InputError: nothing usable is there; one line says what was expected.
        """
        raise NotImplementedError


def root_of(data: Data, dataset: str) -> Path:
    """The folder ``data.root``, which may not exist.

    Raises:
        InputError: none is given, or it is a file.
    """
    if not data.root:
        what = LAYOUT if dataset == "folder" else f"expected {dataset}, torchvision's or parquet"
        raise InputError("data.root", "is missing", f"give data.root=<folder> ({what})")
    root = Path(data.root).expanduser()
    if root.exists() and not root.is_dir():
        raise InputError(f"data.root={shown(root)}", "is a file", "give the folder it is in")
    return root


def refuse_digits(data: Data, dataset: str) -> None:
    """Raises for the bundled digits, which lie in no folder."""
    if dataset == "digits":
        problem = f"{data.source['name']} holds no digits"
        raise InputError("data.source", problem, "use source=auto")

"""Opens the images that a configuration names."""

from contsemi.config import Data
from contsemi.data.imageset import ImageSet
from contsemi.data.sources.listing import shown
from contsemi.data.sources.source import Check, Source
from contsemi.errors import InputError


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
        return Source.named(data.source).load(data, dataset, check or (lambda train, test: None))
    except OSError as error:
        reason = error.strerror or str(error)
        what = f": {shown(error.filename)}" if isinstance(error.filename, str) else ""
        problem = f"cannot be read ({reason}{what})"
        fix = "mend its rights, or give another folder"
        raise InputError(f"data.root={shown(str(data.root))}", problem, fix) from error

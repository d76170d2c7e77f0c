"""CIFAR in torchvision's layout."""

from dataclasses import dataclass

from contsemi.config import Data
from contsemi.data.imageset import ImageSet
from contsemi.data.sources import cifar
from contsemi.data.sources.source import Check, Source, refuse_digits, root_of
from contsemi.errors import InputError


@dataclass(kw_only=True, eq=False)
class Torchvision(Source):
    """Unpacked files or the archive; fetched where ``data.download`` allows it."""

    def load(self, data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
        """See :func:`contsemi.data.sources.cifar.load`."""
        refuse_digits(data, dataset)
        root = root_of(data, dataset)
        if dataset not in cifar.LAYOUTS:
            raise InputError("data.source", "torchvision is for CIFAR only", "use source=auto")
        may_download = data.download
        return cifar.load(root, dataset, size=data.size, may_download=may_download, check=check)

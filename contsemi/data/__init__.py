"""Images: sources become :class:`ImageSet`, a scenario makes a stream of experiences of them.

Nothing heavy is imported with the package, because every decoding process imports it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contsemi.config import Data
    from contsemi.data.imageset import ImageSet
    from contsemi.data.sources.source import Check


def load(data: "Data", dataset: str, check: "Check | None" = None) -> "tuple[ImageSet, ImageSet]":
    """Training and test images; see :func:`contsemi.data.source.load`."""
    from contsemi.data.source import load as load_source

    return load_source(data, dataset, check)

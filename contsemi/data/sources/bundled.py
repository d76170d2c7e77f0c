"""What comes with a library: the digits of scikit-learn."""

from dataclasses import dataclass

from contsemi.config import Data
from contsemi.data.imageset import ImageSet
from contsemi.data.sources import digits
from contsemi.data.sources.source import Check, Source
from contsemi.errors import InputError


@dataclass(kw_only=True, eq=False)
class Bundled(Source):
    """The digits, which need no folder."""

    def load(self, data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
        """See :func:`contsemi.data.sources.digits.load`."""
        if dataset != "digits":
            raise InputError("data.source", f"{dataset} is not bundled", "use source=auto")
        if data.root:
            problem = "has no effect with the bundled digits"
            raise InputError("data.root", problem, "add scenario=image_folder, or leave it out")
        train, test = digits.load(None)
        check(train.named, test.named)
        return (train, test) if data.size is None else digits.load(data.size)

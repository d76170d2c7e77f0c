"""An image source: stripes whose width is their class."""

from dataclasses import dataclass

import numpy as np

from contsemi.data.imageset import ImageSet
from contsemi.data.sources.source import Source


@dataclass(kw_only=True, eq=False)
class Stripes(Source):
    classes: int  # 2 or more
    images: int  # of each class, for training; a third as many for the test

    def load(self, data, dataset, check):
        side = data.size or 8
        names = tuple(f"width {k + 1}" for k in range(self.classes))
        sets = []
        for seed, count in enumerate((self.images, max(1, self.images // 3))):
            draw = np.random.default_rng(seed)
            targets = np.repeat(np.arange(self.classes), count)
            shift = draw.integers(0, 8, len(targets))
            pixel = np.arange(side) + shift[:, None]
            bright = (pixel // (targets[:, None] + 1)) % 2 * 200 + draw.integers(0, 50, pixel.shape)
            rows = np.broadcast_to(bright[:, None, None, :], (len(targets), 3, side, side))
            images = rows.astype(np.uint8)
            sets.append(ImageSet.of(images, targets, classes=names, name="stripes"))
        return tuple(sets)

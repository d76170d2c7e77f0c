"""The model that Avalanche sees: row numbers in, logits out.

Its datasets hold row numbers in place of images, so that its loaders, buffers and copies move eight
bytes an image. The model itself looks the pixels up and augments them, batched, on the device.
"""

from typing import Any

import torch
from torch import Tensor, nn

from contsemi.config import Config
from contsemi.devices.precision import autocast
from contsemi.models.heads import Classifier
from contsemi.seeding import generator
from contsemi.stores.choosing import stored
from contsemi.stores.store import Images
from contsemi.strategies.scores import UNSEEN
from contsemi.views import Augment


class ImagesByRow:
    """Images by row number, augmented as the labelled images of every other method.

    Within a step one batch has one set of views, whichever network looks at it: a teacher sees
    what its student sees. Copies of a model share this object and with it the images.

    Args:
        images: uint8 [N, 3, S, S], or a store.
        config: the run.
        device: of the network.
        precision: of the network's products.

    Attributes:
        num_seen: columns seen so far.
        drawn: the batches of this step with their views.
    """

    def __init__(
        self, images: Images, config: Config, device: torch.device, precision: torch.dtype
    ) -> None:
        self.images = stored(images, device)
        self.augment = Augment(config.views)
        self.seed, self.device, self.precision = config.seed, device, precision
        self.num_seen = 0
        self.drawn: list[tuple[Tensor, Tensor]] = []
        self.at(0, 0)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ImagesByRow":
        return self

    def at(self, task: int, step: int) -> None:
        """A step begins."""
        self.task, self.step = task, step
        self.drawn.clear()

    def views(self, rows: Tensor) -> Tensor:
        """One view of each row; the first batch of a step has those of contsemi's own methods."""
        for known, views in self.drawn:
            if known is rows:
                return views
        number = [len(self.drawn)] if self.drawn else []
        draw = generator(self.seed, "views", self.task, self.step, *number, device=self.device)
        views = self.augment.view("labelled", self._gather(rows), 1, draw)
        self.drawn.append((rows, views))
        return views

    def plain(self, rows: Tensor) -> Tensor:
        """The un-augmented images of the rows."""
        return self.augment.test(self._gather(rows))

    def _gather(self, rows: Tensor) -> Tensor:
        return self.images.take(rows)


class Features(nn.Module):
    """The backbone on row numbers: augmented images in training mode, plain ones otherwise.

    Args:
        backbone: the backbone.
        pixels: the images.
    """

    def __init__(self, backbone: nn.Module, pixels: ImagesByRow) -> None:
        super().__init__()
        self.backbone, self.pixels = backbone, pixels

    def train(self, mode: bool = True) -> "Features":
        """As always, but for a frozen backbone, whose statistics stay as they are."""
        super().train(mode)
        if getattr(self.backbone, "frozen", False):
            self.backbone.eval()
        return self

    def forward(self, rows: Tensor) -> Tensor:
        """Features float32 [N, F] of row numbers int64 [N]."""
        images = self.pixels.views(rows) if self.training else self.pixels.plain(rows)
        with autocast(self.pixels.device, self.pixels.precision):
            features: Tensor = self.backbone(images)
        return features.float()


class Logits(nn.Module):
    """The classifier of fixed width, as if it had only the columns seen so far.

    Args:
        classifier: logits [N, C] of all columns of the stream.
        pixels: knows how many columns were seen.
        masked: whether unseen columns get the logit ``UNSEEN``, by which they neither learn nor
            count; without it they are trained down, as in DER, which compares logits over time.
    """

    columns: Tensor

    def __init__(self, classifier: Classifier, pixels: ImagesByRow, *, masked: bool) -> None:
        super().__init__()
        self.classifier, self.pixels, self.masked = classifier, pixels, masked
        columns = torch.arange(len(classifier.weight), device=pixels.device)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Logits float32 [N, C]."""
        with autocast(self.pixels.device, self.pixels.precision):
            logits: Tensor = self.classifier(features).float()
        if not self.masked:
            return logits
        return logits.masked_fill(self.columns >= self.pixels.num_seen, UNSEEN)

"""How much faster the batched views are than PIL's, for NNCSL's CIFAR recipe, on one thread.

Each round times both, one right after the other, on the same images, and the ratio is taken within
the round, so that a busy machine slows both. The images are random bytes, already decoded.

    python scripts/bench_views.py --rounds 9
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table
from torchvision import transforms as T
from torchvision.transforms import functional as F

from contsemi.config import Crop, Views
from contsemi.views import Augment

POLICY = Path(__file__).resolve().parents[1] / "conf" / "views" / "cifar.yaml"


class Solarise(torch.nn.Module):
    """Solarise with a random threshold, as NNCSL's."""

    def forward(self, image: Image.Image) -> Image.Image:
        """One picture, changed."""
        solarised: Image.Image = F.solarize(image, int(torch.randint(0, 256, (1,))))
        return solarised


def pictures(crop: Crop, views: Views) -> Callable[[Image.Image], torch.Tensor]:
    """The transforms of the official code, picture by picture."""
    jitter = crop.jitter
    colour = T.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    composed: Callable[[Image.Image], torch.Tensor] = T.Compose(
        [
            T.RandomResizedCrop(crop.size, tuple(crop.scale), tuple(crop.ratio)),
            T.RandomHorizontalFlip(crop.flip),
            T.RandomApply([colour], jitter.probability),
            T.RandomApply([Solarise()], crop.solarise),
            T.RandomEqualize(crop.equalise),
            T.ToTensor(),
            T.Normalize(views.mean, views.std),
        ]
    )
    return composed


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median [lowest..highest]."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} [{low:,.{digits}f}..{high:,.{digits}f}]"


def main() -> None:
    """Time both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="images of a batch")
    parser.add_argument(
        "--views", type=int, default=2, help="large and as many small views of each"
    )
    parser.add_argument("--rounds", type=int, default=9, help="pairs of timings")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    views = Views.model_validate(yaml.safe_load(POLICY.read_text()))
    generator = torch.Generator().manual_seed(0)
    shape = (given.images, 3, 32, 32)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    opened = [F.to_pil_image(image) for image in images]
    batched = Augment(views)
    large, small = pictures(views.large, views), pictures(views.small, views)

    def by_picture() -> None:
        for make in (large, small):
            torch.stack([make(image) for _ in range(given.views) for image in opened])

    def by_batch() -> None:
        batched.large(images, given.views, generator)
        batched.small(images, given.views, generator)

    by_batch()
    pairs = [(seconds(by_picture), seconds(by_batch)) for _ in range(given.rounds)]
    count = 2 * given.views * given.images
    table = Table("", "views/s", "ms per batch", title=f"{count} views, {given.rounds} rounds")
    for name, column in (("PIL, one by one", 0), ("contsemi, batched", 1)):
        times = [pair[column] for pair in pairs]
        table.add_row(name, spread([count / t for t in times]), spread([1e3 * t for t in times], 1))
    table.add_row("ratio within a round", spread([a / b for a, b in pairs], 1), "")
    Console().print(table)


if __name__ == "__main__":
    main()

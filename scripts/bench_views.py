"""How much faster the batched views are than PIL's, torchvision's and kornia's, on one thread.

The policy is NNCSL's for CIFAR, the images are random bytes, already decoded. Each round times all,
one right after the other, and ratios are taken within the round, so that a busy machine slows both.
kornia, which also works on whole batches, is left out where it is not installed.

    python scripts/bench_views.py --rounds 9
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contsemi.devices.process import prepare

if __name__ == "__main__":
    prepare(0)

import torch
import yaml
from measuring import alternate, machine, processor_seconds, show, spread
from PIL import Image
from torch import nn
from torchvision import transforms as T
from torchvision.transforms import functional as F
from torchvision.transforms import v2

from contsemi.config import Crop, Views
from contsemi.views import Augment

POLICY = Path(__file__).resolve().parents[1] / "conf" / "views" / "cifar.yaml"

Make = Callable[[Any], torch.Tensor]


class Solarise(nn.Module):
    """Solarise with a random threshold, as NNCSL's."""

    def forward(self, image: Any) -> Any:
        """One picture, changed."""
        return F.solarize(image, int(torch.randint(0, 256, (1,))))


class SolariseV2(nn.Module):
    """The same for torchvision's v2."""

    def forward(self, image: Any) -> Any:
        """One picture, changed."""
        return v2.functional.solarize(image, float(torch.randint(0, 256, (1,))))


def pictures(crop: Crop, views: Views) -> Make:
    """The transforms of the official code, picture by picture."""
    jitter = crop.jitter
    colour = T.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    composed: Make = T.Compose(
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


def tensors(crop: Crop, views: Views) -> Make:
    """The same in torchvision's v2, on uint8 tensors, image by image."""
    jitter = crop.jitter
    colour = v2.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    composed: Make = v2.Compose(
        [
            v2.RandomResizedCrop(crop.size, crop.scale, crop.ratio, antialias=True),
            v2.RandomHorizontalFlip(crop.flip),
            v2.RandomApply([colour], jitter.probability),
            v2.RandomApply([SolariseV2()], crop.solarise),
            v2.RandomEqualize(crop.equalise),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(views.mean, views.std),
        ]
    )
    return composed


def kornia_batches(crop: Crop, views: Views) -> Make | None:
    """The same in kornia, batch by batch; ``None`` without it."""
    try:
        from kornia import augmentation as K
    except ImportError:
        return None
    jitter = crop.jitter
    size = (crop.size, crop.size)
    composed: Make = nn.Sequential(
        K.RandomResizedCrop(size, tuple(crop.scale), tuple(crop.ratio)),
        K.RandomHorizontalFlip(p=crop.flip),
        K.ColorJitter(
            jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue, p=jitter.probability
        ),
        K.RandomSolarize(0.5, 0.0, p=crop.solarise),  # thresholds uniform in [0, 1]
        K.RandomEqualize(p=crop.equalise),
        K.Normalize(torch.tensor(views.mean), torch.tensor(views.std)),
    )
    return composed


def main() -> None:
    """Time all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="images of a batch")
    parser.add_argument(
        "--views", type=int, default=2, help="large and as many small views of each"
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds of timings")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    views = Views.model_validate(yaml.safe_load(POLICY.read_text()))
    generator = torch.Generator().manual_seed(0)
    shape = (given.images, 3, 32, 32)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    opened: list[Image.Image] = [F.to_pil_image(image) for image in images]
    batched = Augment(views)
    crops = tuple(views.policies[name] for name in ("large", "small"))

    def by_batch() -> None:
        for name in ("large", "small"):
            batched.view(name, images, given.views, generator)

    def one_by_one(make: Callable[[Crop, Views], Make], items: Any) -> Callable[[], None]:
        composed = [make(crop, views) for crop in crops]

        def work() -> None:
            for each in composed:
                torch.stack([each(item) for _ in range(given.views) for item in items])

        return work

    works = {
        "contsemi, batched": by_batch,
        "PIL, one by one": one_by_one(pictures, opened),
        "torchvision v2 on uint8 tensors, one by one": one_by_one(tensors, list(images)),
    }
    if kornia_batches(crops[0], views) is not None:
        composed = [kornia_batches(crop, views) for crop in crops]

        def by_kornia() -> None:
            for each in composed:
                assert each is not None
                each(images.float().div(255).repeat(given.views, 1, 1, 1))

        works["kornia, batched"] = by_kornia
    times = alternate(list(works.values()), given.rounds, processor_seconds)
    count = 2 * given.views * given.images
    rows = [
        (
            name,
            spread([count / t for t in mine], 0),
            spread([1e3 * t for t in mine]),
            spread([t / ours for t, ours in zip(mine, times[0], strict=True)]),
        )
        for name, mine in zip(works, times, strict=True)
    ]
    print(machine(given.threads))
    title = f"{count} views ({given.images} images), {given.rounds} rounds, processor time:"
    show(title, ("", "views/s", "ms a batch", "times contsemi's, within a round"), rows)


if __name__ == "__main__":
    main()

"""What views are made of beside the policies: masks, backgrounds and mixed images."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gpu_parts.kept import Case


def cases() -> Iterator[Case]:
    """Name, function, arguments and options."""
    from contsemi.views.background import composite, free_rectangles, swapped, tiled
    from contsemi.views.saliency import otsu, spectral_saliency, usable_masks

    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 32, 32), generator=draw, dtype=torch.uint8)
    masks = torch.zeros(12, 32, 32, dtype=torch.uint8)
    for number in range(12):  # of every size, none and all of the image among them
        masks[number, 3 * number // 2 : 3 * number, : 3 * number] = 255
    masks[-1] = 255
    both = torch.cat([images, masks[:, None]], 1)
    rows = images.float() / 255
    yield "views.spectral_saliency", spectral_saliency, (images,), {}
    yield "views.otsu", otsu, (rows[:, 0],), {}
    yield "views.usable_masks", usable_masks, (masks,), {}
    yield "views.free_rectangles", free_rectangles, (masks,), {}
    yield "views.tiled", tiled, (images, masks), {"cell": 2}
    yield "views.swapped", swapped, (both, both.flip(0)), {}
    yield "views.composite", composite, (rows, masks[:, None] / 255, rows.flip(0)), {}
    yield "views.background", background, (images, masks), {}
    yield "views.mix", mixed, (rows, rows.flip(0)), {}


def background(images: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
    """Views on the backgrounds of others, and on grey."""
    from contsemi.views.background import Background, Donors

    donors = Donors(images, masks)
    views = torch.cat([images, masks[:, None]], 1).float() / 255
    every = torch.arange(len(views), device=views.device)
    chosen, grey, donor = every % 3 > 0, every / len(views), every % max(len(donors), 1)
    return tuple(
        Background(chosen=chosen, grey=grey, donor=donor, least=0.01, donors=each).apply(views)
        for each in (donors, None)
    )


def mixed(images: Tensor, partners: Tensor) -> tuple[Tensor, ...]:
    """Blended and pasted images."""
    from contsemi.views.mix import mix

    draw = torch.Generator().manual_seed(0)
    return tuple(mix(images, partners, draw, alpha=0.5)[0] for _ in range(8))

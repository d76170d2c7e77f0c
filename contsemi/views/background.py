"""Backgrounds are taken away, replaced or exchanged; the foreground stays as it is.

Source: Ryali, Schwab and Morcos 2021, "Characterizing and improving the robustness of
self-supervised learning through background augmentations".
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.views.draws import Drawn, Draws

_CELLS = 16  # a side, among which a background is looked for at every step


def composite(foregrounds: Tensor, masks: Tensor, backgrounds: Tensor) -> Tensor:
    """Foregrounds over backgrounds; where the mask is 1 the foreground is kept bit for bit.

    Args:
        foregrounds: float [N, 3, H, W].
        masks: float [N, 1, H, W] in [0, 1].
        backgrounds: float, as the foregrounds or broadcast to them.

    Returns:
        float [N, 3, H, W].
    """
    return masks * foregrounds + (1 - masks) * backgrounds


def free_rectangles(masks: Tensor) -> tuple[Tensor, Tensor]:
    """The largest rectangle of each image without any foreground.

    Args:
        masks: [N, S, S], 0 where there is no foreground.

    Returns:
        start int64 [N, 2], top and left, and length int64 [N, 2], height and width; of rectangles
        of one size the first by width, row and column; lengths are 0 where all is foreground.
    """
    number, side = len(masks), masks.shape[-1]
    free = masks == 0
    heights = torch.zeros(number, side, side, dtype=torch.int64, device=masks.device)
    run = torch.zeros_like(heights[:, 0])
    for row in range(side):
        run = (run + 1) * free[:, row]
        heights[:, row] = run
    best = torch.zeros(number, dtype=torch.int64, device=masks.device)
    start, length = (best.new_zeros(number, 2) for _ in range(2))
    lowest = heights
    for width in range(1, side + 1):
        if width > 1:  # the lowest of `width` columns from each one on
            lowest = torch.minimum(lowest[:, :, :-1], heights[:, :, width - 1 :])
        area, place = (lowest * width).flatten(1).max(dim=1)
        bottom, left = place // lowest.shape[2], place % lowest.shape[2]
        height = lowest.flatten(1).gather(1, place[:, None])[:, 0]
        larger = (area > best)[:, None]
        best = torch.maximum(best, area)
        start = torch.where(larger, torch.stack((bottom - height + 1, left), 1), start)
        length = torch.where(
            larger, torch.stack((height, torch.full_like(height, width)), 1), length
        )
    return start, length


def tiled(images: Tensor, masks: Tensor, *, cell: int = 1) -> Tensor:
    """Backgrounds alone: the largest rectangle without foreground, repeated over the image.

    Args:
        images: uint8 [N, 3, S, S].
        masks: uint8 [N, S, S].
        cell: side in pixels of the squares that the rectangle is made of.

    Returns:
        uint8 [N, 3, S, S]; the first pixel everywhere where no such square is free.
    """
    if cell > 1:
        masks = F.max_pool2d(masks[:, None].float(), cell)[:, 0]
    start, length = (cell * each for each in free_rectangles(masks))
    place = torch.arange(images.shape[-1], device=images.device)
    index = start[..., None] + place % length.clamp(min=1)[..., None]
    rows, columns = index[:, 0], index[:, 1]
    each = torch.arange(len(images), device=images.device)[:, None, None]
    picked = images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None]]
    return picked.permute(0, 3, 1, 2).contiguous()


def swapped(foregrounds: Tensor, backgrounds: Tensor) -> Tensor:
    """The foreground of one image on the background of another, whose own foreground is filled.

    Args:
        foregrounds: uint8 [N, 4, S, S], the mask last, 255 for foreground.
        backgrounds: uint8 [N, 4, S, S], likewise.

    Returns:
        uint8 [N, 3, S, S].
    """
    cell = max(1, backgrounds.shape[-1] // _CELLS)
    around = tiled(backgrounds[:, :3], backgrounds[:, 3], cell=cell)
    return torch.where(foregrounds[:, 3:] >= 128, foregrounds[:, :3], around)


class Donors:
    """Backgrounds of the current task, from which views take theirs.

    They are made anew for every task, so that no image of an earlier one lives on in them.

    Args:
        images: uint8 [N, 3, S, S] of the task.
        masks: uint8 [N, S, S].
        least_area: share of the image that the largest free rectangle must have.

    Attributes:
        backgrounds: uint8 [Q, 3, S, S]; Q may be 0.
    """

    def __init__(self, images: Tensor, masks: Tensor, *, least_area: float = 0.05) -> None:
        area = free_rectangles(masks)[1].prod(dim=1)
        able = area >= least_area * masks.shape[-1] ** 2
        self.backgrounds = tiled(images[able], masks[able])

    def __len__(self) -> int:
        return len(self.backgrounds)

    def at(self, index: Tensor, side: int) -> Tensor:
        """Float [n, 3, side, side] in [0, 1] of the donors int64 [n]."""
        rows = self.backgrounds.index_select(0, index).float().div_(255)
        if rows.shape[-1] == side:
            return rows
        return F.interpolate(rows, (side, side), mode="bilinear", antialias=True)


@dataclass(frozen=True, slots=True)
class Background(Drawn):
    """Views of images with a mask channel, whose background is another.

    Attributes:
        chosen: bool [N].
        grey: [N], the level that takes the place of the background, without donors.
        donor: int64 [N].
        least: views with a smaller share of foreground are left as they are.
        donors: ``None`` for grey.
    """

    chosen: Tensor
    grey: Tensor
    donor: Tensor
    least: float
    donors: Donors | None

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 4, H, W], the mask last, to [N, 3, H, W]."""
        views, masks = images[:, :3], images[:, 3:]
        enough = masks.mean(dim=(1, 2, 3)) >= self.least
        if self.donors is None:
            others = self.grey[:, None, None, None]
        else:
            others = self.donors.at(self.donor, images.shape[-1])
        made = composite(views, masks, others)
        return torch.where((self.chosen & enough)[:, None, None, None], made, views)


def draw_background(
    draws: Draws, probability: float, *, least: float, donors: Donors | None
) -> Background:
    """Each view with the probability given; as many numbers are drawn with donors as without.

    Args:
        draws: source of random numbers.
        probability: that a view's background is another.
        least: share of the foreground below which a view is left as it is.
        donors: ``None`` to take backgrounds away (BG_RM); else they are replaced by those of
            others (BG_Random). Without any at hand all views stay as they are.
    """
    chosen = draws.coin(probability)
    level = draws.uniform(0.0, 1.0)[:, 0]
    if donors is not None and not len(donors):
        chosen, donors = torch.zeros_like(chosen), None
    number = 1 if donors is None else len(donors)
    donor = (level * number).long().clamp(max=number - 1)
    return Background(chosen=chosen, grey=level, donor=donor, least=least, donors=donors)

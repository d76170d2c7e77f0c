"""Random resized crops and flips: antialiased interpolation as two matrix products per view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from contsemi.views.draws import Drawn, Draws
from contsemi.views.rectangle import draw_rectangles
from contsemi.views.separable import separable

LEVEL = 255**-0.5  # twice, for rows and columns, it brings pixel values to [0, 1]
TABLE_BYTES = 1 << 24
BLOCK = 64  # views that a thread of a CPU cuts at a time: they and their weights fit its L2 cache


@dataclass(frozen=True, slots=True)
class Boxes(Drawn):
    """A crop per view; pixels of the source, whole numbers as float.

    Attributes:
        start: [N, 2], top and left.
        length: [N, 2], height and width.
        flip: bool [N], whether left and right are swapped.
    """

    start: Tensor
    length: Tensor
    flip: Tensor

    def crop(self, images: Tensor, size: int) -> Tensor:
        """Crop, resize and flip.

        Equals PIL's crop and bilinear resize up to PIL's rounding to whole pixel values.

        Args:
            images: uint8 [N, 3, S, S].
            size: side of the views in pixels.

        Returns:
            float [N, 3, size, size] in [0, 1].
        """
        weights = self._weights(images.shape[-1], size)
        made = torch.empty((*images.shape[:2], size, size), device=images.device)
        cached = BLOCK * torch.get_num_threads()
        block = cached if images.device.type == "cpu" else max(1, len(images))
        for start in range(0, len(images), block):
            span = slice(start, start + block)
            separable(images[span].float(), *weights(span), out=made[span])
        return made

    def _weights(self, side: int, size: int) -> Callable[[slice], tuple[Tensor, Tensor]]:
        """Gives a span's [n, size, side] each; from [0, 255] to [0, 1], each axis does its part."""
        if (side * side * size * side) * 8 <= TABLE_BYTES:
            index = (self.length - 1) * side + self.start
            index[:, 1] += side * side * self.flip
            table = _table(side, size, index.device)
            rows, columns = index.long().unbind(1)

            def looked_up(span: slice) -> tuple[Tensor, Tensor]:
                return table.index_select(0, rows[span]), table.index_select(0, columns[span])

            return looked_up
        end = self.start + self.length
        # a flipped view is read from the right end backwards
        back = torch.stack((torch.zeros_like(self.flip), self.flip), dim=1)
        origin = torch.where(back, end, self.start)
        step = torch.where(back, -self.length, self.length) / size
        weights = interpolation(origin, step, self.start, end, side, size).mul_(LEVEL)
        return lambda span: (weights[span, 0], weights[span, 1])


@lru_cache(maxsize=8)
def _table(side: int, size: int, device: torch.device) -> Tensor:
    """Weights of all crops along one axis, [2 · side · side, size, side].

    Row (flip · side + length - 1) · side + start is that of a crop; in small images they are few,
    and to look them up takes a tenth of the time of computing them.
    """
    pixels = torch.arange(float(side), device=device)
    start, length = pixels.repeat(side), (pixels + 1).repeat_interleave(side)
    weights = interpolation(start, length / size, start, start + length, side, size).mul_(LEVEL)
    return torch.cat((weights, weights.flip(1)))


def draw_boxes(
    draws: Draws, side: int, *, scale: Sequence[float], ratio: Sequence[float], flip: float
) -> Boxes:
    """Crops distributed as those of torchvision's ``RandomResizedCrop.get_params``.

    Args:
        draws: source of random numbers.
        side: S, side of the images in pixels.
        scale: lowest and highest share of the area.
        ratio: lowest and highest width / height.
        flip: probability of a horizontal flip.
    """
    lengths, fits = draw_rectangles(draws, side, scale, ratio, largest=side)
    # where no attempt fitted: the largest central crop with an allowed ratio
    central = (min(side, round(side / ratio[0])), min(side, round(side * ratio[1])))
    height, width = (torch.where(fits, lengths[:, k], central[k]) for k in (0, 1))
    length = torch.stack((height, width), dim=1)
    room = side - length
    start = torch.where(
        fits[:, None], (draws.uniform(0.0, 1.0, 2) * (room + 1)).floor_(), (room / 2).floor_()
    )
    flipped = draws.coin(flip) if flip > 0 else torch.zeros_like(fits)
    return Boxes(start=start, length=length, flip=flipped)


def interpolation(
    origin: Tensor, step: Tensor, low: Tensor, high: Tensor, side: int, size: int
) -> Tensor:
    """Weights of linear interpolation, antialiased where the view has fewer pixels than the crop.

    A triangle of half-width max(1, pixels of the crop per pixel of the view) around the centre
    of each output pixel, cut at [low, high), normalised: PIL's ``Image.resize`` with BILINEAR.

    Args:
        origin: [...], where output pixel 0 begins, in input pixels.
        step: [...], input pixels per output pixel, negative to flip.
        low: [...], first input pixel that may be used.
        high: [...], one after the last.
        side: S, input pixels.
        size: s, output pixels.

    Returns:
        float [..., s, S]; rows sum to 1.
    """
    outputs = torch.arange(0.5, size, device=step.device)
    inputs = torch.arange(0.5, side, device=step.device)
    slope = step.abs().clamp_(min=1).reciprocal_().neg_()
    centre = torch.addcmul(origin[..., None], step[..., None], outputs)
    weights = (inputs - centre[..., None]).abs_().mul_(slope[..., None, None])
    weights.add_(1).clamp_(min=0)
    inside = (inputs > low[..., None]) & (inputs < high[..., None])
    weights.mul_(inside[..., None, :].to(weights.dtype))
    return weights.div_(weights.sum(-1, keepdim=True))

"""Colour jitter in random order per view, and greyscale."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.config import Jitter as JitterRanges
from contsemi.views.draws import Drawn, Draws
from contsemi.views.hue import turn_hue_
from contsemi.views.select import on_rows


def luma(images: Tensor) -> Tensor:
    """Grey values, float [N, 3, H, W] -> [N, 1, H, W], with ITU-R 601 weights (PIL's "L")."""
    red, green, blue = torch.split(images, 1, dim=1)
    return torch.mul(red, 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


@dataclass(frozen=True, slots=True)
class Jitter(Drawn):
    """Brightness, contrast, saturation and hue, in an order of its own for each view.

    The first three are blends x ← clamp(f·x + (1-f)·r) with r = 0, the image's mean grey, or its
    grey. So a view takes three blends, and its hue is turned before the blend ``hue_place`` (3:
    after them all).

    Attributes:
        chosen: bool [N], whether the view is jittered at all.
        blends: [N, 3 places, 3], as made by :func:`blend_weights`.
        turns: [N], shift of the hue in turns.
        hue_place: int64 [N].
        hue: whether the policy turns hues at all.
    """

    chosen: Tensor
    blends: Tensor
    turns: Tensor
    hue_place: Tensor
    hue: bool

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> the same."""
        stage = torch.where(self.chosen, self.hue_place, -1)
        if images.device.type != "cpu":
            return self._everywhere(images, stage)
        # sorted by stage, the rows of each step are neighbours, and no other row is computed
        order = stage.argsort()
        first = torch.bincount(stage + 1, minlength=5).cumsum(0).tolist()
        images = self.rows(order)._spans(images.index_select(0, order), first)
        return images.index_select(0, order.argsort())

    def _spans(self, images: Tensor, first: list[int]) -> Tensor:
        """All steps in place; rows from ``first[k]`` on have their hue at place k or later."""
        blends = self.blends.permute(1, 2, 0)[..., None, None, None]
        for place in range(3):
            if (later := first[place + 1]) < len(images):
                _blend_(images[later:], blends[place, :, later:])
        if self.hue and first[0] < len(images):
            turn_hue_(images[first[0] :], self.turns[first[0] :])
        for place in range(3):
            if first[0] < (earlier := first[place + 1]):
                span = slice(first[0], earlier)
                _blend_(images[span], blends[place, :, span])
        return images

    def _everywhere(self, images: Tensor, stage: Tensor) -> Tensor:
        """All steps on all rows, with neutral weights for the rows that a step is not for."""
        neutral = torch.arange(3, device=stage.device) == 0
        neutral = neutral.to(self.blends.dtype)
        place = torch.arange(3, device=stage.device)
        later = (stage[:, None] > place)[..., None]
        earlier = ((stage[:, None] >= 0) & (stage[:, None] <= place))[..., None]
        for weights in torch.where(later, self.blends, neutral).permute(1, 2, 0):
            _blend_(images, weights[..., None, None, None])
        if self.hue:
            images = on_rows(images, self.chosen, _turned, self.turns)
        for weights in torch.where(earlier, self.blends, neutral).permute(1, 2, 0):
            _blend_(images, weights[..., None, None, None])
        return images


def blend_weights(kind: Tensor, factor: Tensor) -> Tensor:
    """What a blend takes of the image, of its mean grey and of its grey.

    Args:
        kind: int64 [...], 0 for brightness, 1 for contrast, 2 for saturation.
        factor: float [...], f.

    Returns:
        float [..., 3]: f, then 1-f at the place of the kind's own r.
    """
    rest = 1 - factor
    contrast, saturation = (torch.where(kind == k, rest, 0.0) for k in (1, 2))
    return torch.stack((factor, contrast, saturation), dim=-1)


def _blend_(images: Tensor, weights: Tensor) -> None:
    """One blend in place, of images [N, 3, H, W] with weights [3, N, 1, 1, 1]."""
    factor, contrast, saturation = weights.unbind()
    grey = luma(images)
    constant = grey.mean((2, 3), keepdim=True).mul_(contrast)
    # two passes: one with two numbers a view beside the greys would not be vectorised on a CPU
    grey.mul_(saturation).add_(constant)
    torch.addcmul(grey, images, factor, out=images).clamp_(0, 1)


def _turned(images: Tensor, turns: Tensor) -> Tensor:
    return turn_hue_(images.clone(), turns)


def draw_jitter(draws: Draws, ranges: JitterRanges) -> Jitter:
    """Factors, hue shift and order distributed as in torchvision's ``ColorJitter``."""
    spread = (ranges.brightness, ranges.contrast, ranges.saturation)
    factors = torch.cat([draws.uniform(max(0.0, 1 - s), 1 + s) for s in spread], dim=1)
    turns = draws.uniform(-ranges.hue, ranges.hue)[:, 0]
    keys = draws.uniform(0.0, 1.0, 4)  # the order of four random keys is a random permutation
    kind = keys[:, :3].argsort(1)
    return Jitter(
        chosen=draws.coin(ranges.probability),
        blends=blend_weights(kind, factors.gather(1, kind)),
        turns=turns,
        hue_place=(keys[:, :3] < keys[:, 3:]).sum(1)
        if ranges.hue > 0
        else torch.zeros_like(kind[:, 0]),
        hue=ranges.hue > 0,
    )


@dataclass(frozen=True, slots=True)
class Greyscale(Drawn):
    """Views without colour.

    Attributes:
        chosen: bool [N].
    """

    chosen: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> the same."""
        return on_rows(images, self.chosen, lambda rows: luma(rows).expand_as(rows))


def draw_greyscale(draws: Draws, probability: float) -> Greyscale:
    """Each view is made grey with the probability given."""
    return Greyscale(chosen=draws.coin(probability))

"""The plan of a batch of views: what was drawn for each of them, and how it is carried out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from contsemi.config import Crop
from contsemi.errors import MethodFailed
from contsemi.types.returned import tensor_of
from contsemi.views.background import Background, Donors, draw_background
from contsemi.views.blur import draw_blur
from contsemi.views.colour import draw_greyscale, draw_jitter
from contsemi.views.drawn.operation import Operation
from contsemi.views.draws import Drawn, Draws
from contsemi.views.erase import draw_erase
from contsemi.views.geometry import Boxes, draw_boxes
from contsemi.views.rand_augment import draw_cutout, draw_rand_augment
from contsemi.views.reflected import draw_reflected
from contsemi.views.tone import draw_equalise, draw_solarise
from contsemi.views.warp import draw_warp


@dataclass(frozen=True, slots=True)
class Plan:
    """N views: where each is cut from its image, and what is then done to it, in order.

    Attributes:
        boxes: the crops.
        steps: the operations that the policy has; none for a probability of 0.
        size: side of the views in pixels.
        background: what is done to it, of images with a fourth channel; ``None`` for nothing.
    """

    boxes: Boxes
    steps: tuple[Drawn, ...]
    size: int
    background: Background | None = None

    def uncropped(self, side: int) -> "Plan":
        """The plan for images of a side that were cropped already: all else is done to them."""
        whole = torch.full_like(self.boxes.length, side)
        boxes = replace(self.boxes, start=torch.zeros_like(whole), length=whole)
        return replace(self, boxes=boxes)

    def rows(self, index: slice | Tensor) -> "Plan":
        """The plan of some of the views."""
        return Plan(
            self.boxes.rows(index),
            tuple(step.rows(index) for step in self.steps),
            self.size,
            self.background and self.background.rows(index),
        )

    def followed_by(self, other: "Plan") -> "Plan":
        """These views and behind them those of another plan of the same policy."""
        steps = zip(self.steps, other.steps, strict=True)
        mine, theirs = self.background, other.background
        return Plan(
            self.boxes.followed_by(other.boxes),
            tuple(one.followed_by(two) for one, two in steps),
            self.size,
            mine and theirs and mine.followed_by(theirs),
        )

    def to(self, device: torch.device | str) -> "Plan":
        """The plan on another device."""
        steps = tuple(step.to(device) for step in self.steps)
        background = self.background and self.background.to(device)
        return Plan(self.boxes.to(device), steps, self.size, background)

    def apply(self, images: Tensor) -> Tensor:
        """Uint8 [N, 3, S, S], the image of each view -> float [N, 3, size, size] in [0, 1].

        Images may have a fourth channel, 255 for foreground: the crop moves it along, the
        background step uses it up, and no other operation sees it.
        """
        views = self.boxes.crop(images, self.size)
        if views.shape[1] > 3:
            changed = self.background
            views = views[:, :3].contiguous() if changed is None else changed.apply(views)
        for step in self.steps:
            views = tensor_of(step.apply, step.apply(views), *views.shape)
        return views


def draw_plan(
    crop: Crop,
    draws: Draws,
    side: int,
    fill: Sequence[float],
    drawn: Sequence[Operation] = (),
    *,
    donors: Donors | None = None,
) -> Plan:
    """Draw everything that is random about a batch of views.

    The numbers drawn depend on the policy and the number of views alone.

    Args:
        crop: the policy of this kind of view.
        draws: source of random numbers.
        side: S, side of the images in pixels.
        fill: the colour of erased rectangles.
        drawn: further operations, the last ones.
        donors: backgrounds that the policy's ``random`` and ``swap`` take.
    """
    boxes = draw_boxes(draws, side, scale=crop.scale, ratio=crop.ratio, flip=crop.flip)
    steps: list[Drawn] = []
    if crop.reflect > 0:
        steps.append(draw_reflected(draws, crop.size, crop.reflect))
    if crop.rotate > 0 or crop.shift > 0:
        steps.append(draw_warp(draws, rotate=crop.rotate, shift=crop.shift))
    if crop.jitter.probability > 0:
        steps.append(draw_jitter(draws, crop.jitter))
    if crop.greyscale > 0:
        steps.append(draw_greyscale(draws, crop.greyscale))
    if crop.blur > 0:
        steps.append(draw_blur(draws, crop.blur, crop.blur_sigma))
    if crop.solarise > 0:
        steps.append(draw_solarise(draws, crop.solarise))
    if crop.equalise > 0:
        steps.append(draw_equalise(draws, crop.equalise))
    if crop.erase > 0:
        steps.append(draw_erase(draws, crop.size, crop.erase, crop.erase_scale, fill))
    if crop.rand_augment.operations > 0:
        chosen = crop.rand_augment
        steps.append(
            draw_rand_augment(draws, operations=chosen.operations, probability=chosen.probability)
        )
    if crop.cutout > 0:
        steps.append(draw_cutout(draws, crop.size, crop.cutout))
    steps += [_drawn(operation, draws, crop.size) for operation in drawn]
    changed = None  # drawn last, so that all else is as without it
    if crop.background != "none":
        others = None if crop.background == "remove" else donors
        if crop.background != "remove" and donors is None:
            raise ValueError("backgrounds of others are wanted, and no donors are given")
        least = crop.background_least
        changed = draw_background(draws, crop.background_probability, least=least, donors=others)
    return Plan(boxes, tuple(steps), crop.size, changed)


def _drawn(operation: Operation, draws: Draws, side: int) -> Drawn:
    drawn = operation.draw(draws, side)
    if not isinstance(drawn, Drawn):
        raise MethodFailed.returned(operation.draw, drawn, "a Drawn")
    return drawn

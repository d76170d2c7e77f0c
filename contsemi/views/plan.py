"""The plan of a batch of views: what was drawn for each of them, and how it is carried out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.config import Crop
from contsemi.views.blur import draw_blur
from contsemi.views.colour import draw_greyscale, draw_jitter
from contsemi.views.drawn.operation import Operation
from contsemi.views.draws import Drawn, Draws
from contsemi.views.erase import draw_erase
from contsemi.views.geometry import Boxes, draw_boxes
from contsemi.views.tone import draw_equalise, draw_solarise
from contsemi.views.warp import draw_warp

__all__ = ["Plan", "draw_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """N views: where each is cut from its image, and what is then done to it, in order.

    Attributes:
        boxes: the crops.
        steps: the operations that the policy has; none for a probability of 0.
        size: side of the views in pixels.
    """

    boxes: Boxes
    steps: tuple[Drawn, ...]
    size: int

    def rows(self, index: slice | Tensor) -> "Plan":
        """The plan of some of the views."""
        return Plan(
            self.boxes.rows(index), tuple(step.rows(index) for step in self.steps), self.size
        )

    def joined(self, other: "Plan") -> "Plan":
        """These views and behind them those of another plan of the same policy."""
        steps = zip(self.steps, other.steps, strict=True)
        return Plan(
            self.boxes.joined(other.boxes), tuple(one.joined(two) for one, two in steps), self.size
        )

    def to(self, device: torch.device | str) -> "Plan":
        """The plan on another device."""
        return Plan(self.boxes.to(device), tuple(step.to(device) for step in self.steps), self.size)

    def apply(self, images: Tensor) -> Tensor:
        """Uint8 [N, 3, S, S], the image of each view -> float [N, 3, size, size] in [0, 1]."""
        views = self.boxes.crop(images, self.size)
        for step in self.steps:
            views = step.apply(views)
        return views


def draw_plan(
    crop: Crop,
    draws: Draws,
    side: int,
    fill: Sequence[float],
    drawn: Sequence[Operation] = (),
) -> Plan:
    """Draw everything that is random about a batch of views.

    The numbers drawn depend on the policy and the number of views alone.

    Args:
        crop: the policy of this kind of view.
        draws: source of random numbers.
        side: S, side of the images in pixels.
        fill: the colour of erased rectangles.
        drawn: further operations, the last ones.
    """
    boxes = draw_boxes(draws, side, scale=crop.scale, ratio=crop.ratio, flip=crop.flip)
    steps: list[Drawn] = []
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
    steps += [operation.draw(draws, crop.size) for operation in drawn]
    return Plan(boxes, tuple(steps), crop.size)

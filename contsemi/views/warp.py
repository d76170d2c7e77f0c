"""Rotation and translation, for images that have no natural flip or crop (digits)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.views.draws import Drawn, Draws


@dataclass(frozen=True, slots=True)
class Warp(Drawn):
    """A rotation about the centre and a translation per view; black comes in from outside.

    Attributes:
        angle: [N], clockwise, in radians.
        shift: [N, 2], to the right and down, as shares of the side.
    """

    angle: Tensor
    shift: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, H] -> the same; bilinear, as torchvision's ``affine`` on tensors."""
        cos, sin = self.angle.cos(), self.angle.sin()
        turn = torch.stack((cos, sin, -sin, cos), dim=-1).view(-1, 2, 2)
        # grid_sample asks where an output pixel comes from: undo the shift, then the rotation
        back = -turn @ (2 * self.shift)[:, :, None]
        grid = F.affine_grid(
            torch.cat((turn, back), dim=2), list(images.shape), align_corners=False
        )
        return F.grid_sample(images, grid, align_corners=False)


def draw_warp(draws: Draws, *, rotate: float, shift: float) -> Warp:
    """Angles uniform in ±``rotate`` degrees, translations uniform in ±``shift`` of the side."""
    angle = draws.uniform(-math.radians(rotate), math.radians(rotate))[:, 0]
    return Warp(angle=angle, shift=draws.uniform(-shift, shift, 2))

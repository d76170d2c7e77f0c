"""RandAugment and Cutout: strong views, each with its own operations in its own order.

Source: Cubuk et al. 2020 (RandAugment); DeVries and Taylor 2017 (Cutout); operations, ranges and
order as in Sohn et al. 2020, table 12 (FixMatch).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.views.colour import luma
from contsemi.views.draws import Drawn, Draws
from contsemi.views.enhance import autocontrast, posterise, sharpened
from contsemi.views.erase import Erase
from contsemi.views.select import on_rows
from contsemi.views.tone import equalise, solarise

# name -> lowest and highest strength; what has none is as it is
OPERATIONS: dict[str, tuple[float, float]] = {
    "identity": (0.0, 0.0),
    "autocontrast": (0.0, 0.0),
    "equalise": (0.0, 0.0),
    "brightness": (0.05, 0.95),
    "colour": (0.05, 0.95),
    "contrast": (0.05, 0.95),
    "sharpness": (0.05, 0.95),
    "posterise": (4.0, 8.0),  # bits
    "solarise": (0.0, 1.0),  # threshold
    "rotate": (-30.0, 30.0),  # degrees
    "shear_x": (-0.3, 0.3),
    "shear_y": (-0.3, 0.3),
    "translate_x": (-0.3, 0.3),  # of the side
    "translate_y": (-0.3, 0.3),
}
NAMES = tuple(OPERATIONS)
MOVES = frozenset({"rotate", "shear_x", "shear_y", "translate_x", "translate_y"})
GREY = 0.5


@dataclass(frozen=True, slots=True)
class RandAugment(Drawn):
    """A few operations for each view, one after the other.

    Attributes:
        kinds: int64 [N, operations], places in ``OPERATIONS``.
        strength: float [N, operations], in the range of the operation.
    """

    kinds: Tensor
    strength: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, S, S] -> the same."""
        for kind, strength in zip(self.kinds.T, self.strength.T, strict=True):
            for name, operation in TONES.items():
                chosen = kind == NAMES.index(name)
                images = on_rows(images, chosen, operation, strength)
            images = on_rows(images, _moved(kind), _move, kind, strength)
        return images


def _moved(kind: Tensor) -> Tensor:
    return torch.stack([kind == NAMES.index(name) for name in sorted(MOVES)]).any(dim=0)


def _move(images: Tensor, kind: Tensor, strength: Tensor) -> Tensor:
    """Rotation, shear or translation to the nearest pixel, as PIL's default; black comes in."""
    side = images.shape[-1]

    def of(name: str) -> Tensor:
        return torch.where(kind == NAMES.index(name), strength, 0.0)

    angle = torch.deg2rad(of("rotate"))
    cos, sin = angle.cos(), angle.sin()
    # Where a pixel comes from, in units of half a side about the centre. A shear holds the upper
    # or the left edge, not the centre.
    shear_x, shear_y = of("shear_x"), of("shear_y")
    shift_x = shear_x + 2 * (of("translate_x") * side).trunc() / side
    shift_y = shear_y + 2 * (of("translate_y") * side).trunc() / side
    rows = torch.stack((cos, shear_x - sin, shift_x, shear_y + sin, cos, shift_y), dim=1)
    grid = F.affine_grid(rows.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="nearest", align_corners=False)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(other, images, factor[:, None, None, None]).clamp_(0, 1)


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), factor)


def _colour(images: Tensor, factor: Tensor) -> Tensor:
    return _blend(images, luma(images).expand_as(images), factor)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    grey = luma(images).mean((2, 3), keepdim=True)
    return _blend(images, grey.expand_as(images), factor)


TONES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": lambda images, _: autocontrast(images),
    "equalise": lambda images, _: equalise(images),
    "brightness": _brightness,
    "colour": _colour,
    "contrast": _contrast,
    "sharpness": sharpened,
    "posterise": posterise,
    "solarise": solarise,
}


def draw_rand_augment(draws: Draws, *, operations: int, probability: float) -> RandAugment:
    """Operations drawn evenly and with replacement, strengths evenly from their ranges.

    Args:
        draws: source of random numbers.
        operations: of each view.
        probability: that a drawn operation is carried out.
    """
    ranges = torch.tensor(list(OPERATIONS.values()))
    ranges = ranges.to(draws.generator.device, non_blocking=True)
    kinds = (draws.uniform(0.0, 1.0, operations) * len(NAMES)).long().clamp_(max=len(NAMES) - 1)
    done = draws.uniform(0.0, 1.0, operations) < probability
    kinds = kinds * done  # place 0 is "identity"
    low, high = ranges[kinds].unbind(-1)
    strength = low + (high - low) * draws.uniform(0.0, 1.0, operations)
    bits = kinds == NAMES.index("posterise")
    # whole bits, each as likely: 4, 5, 6, 7 or 8
    whole = (low + (strength - low) * (5 / 4)).floor().clamp(max=8)
    return RandAugment(kinds=kinds, strength=torch.where(bits, whole, strength))


def draw_cutout(draws: Draws, side: int, share: float) -> Erase:
    """A grey square around a point anywhere in the view, cut off at its edge.

    Args:
        draws: source of random numbers.
        side: S, side of the views in pixels.
        share: side of the square, as a share of S.
    """
    length = math.floor(share * side)
    start = (draws.uniform(0.0, float(side), 2) - length / 2).round_()
    return Erase(
        start=start,
        length=torch.full_like(start, length),
        fill=start.new_full((len(start), 3), GREY),
    )

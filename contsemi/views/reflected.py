"""Translation by whole pixels; what comes in from outside is the image, mirrored at its edge."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.views.draws import Drawn, Draws


@dataclass(frozen=True, slots=True)
class Reflected(Drawn):
    """A crop of an image padded by its own mirror image, the edge not repeated.

    Attributes:
        shift: int64 [N, 2], pixels down and to the right that the crop lies off the image.
    """

    shift: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Float [N, 3, S, S] -> the same."""
        side = images.shape[-1]
        place = torch.arange(side, device=images.device) + self.shift[..., None]
        place = (side - 1) - ((side - 1) - place.abs()).abs()
        rows, columns = place.unbind(1)
        lines = images.gather(2, rows[:, None, :, None].expand_as(images))
        return lines.gather(3, columns[:, None, None, :].expand_as(images))


def draw_reflected(draws: Draws, side: int, share: float) -> Reflected:
    """Shifts drawn evenly from all whole numbers of pixels up to a share of the side.

    As torchvision's ``RandomCrop(side, padding=share * side, padding_mode="reflect")``.
    """
    most = min(round(share * side), side - 1)
    unit = draws.uniform(0.0, 1.0, 2)
    return Reflected(shift=(unit * (2 * most + 1)).long().clamp_(max=2 * most) - most)

"""A small residual network for CPUs and small images."""

from collections.abc import Sequence

from torch import nn

from contsemi.errors import InputError
from contsemi.models.blocks import ResidualNetwork, convolution


def build(*, width: int, blocks: Sequence[int], stem_stride: int) -> ResidualNetwork:
    """A residual network with a 3x3 stem.

    Args:
        width: channels of the first stage; each further stage has twice as many.
        blocks: basic blocks of each stage; [1, 1, 1] has 8 layers.
        stem_stride: 1, or 2 for a quarter of the work on all that follows.

    Raises:
        InputError: a stage has no block, there is no stage, or the stride is below 1.
    """
    if not blocks or min(blocks) < 1:
        raise InputError(
            "model.blocks", f"expected counts >= 1, got {list(blocks)}", "use [1, 1, 1]"
        )
    if stem_stride < 1:
        raise InputError("model.stem_stride", f"expected at least 1, got {stem_stride}", "use 1")
    stem = nn.Sequential(
        *convolution(3, width, kernel=3, stride=stem_stride, padding=1), nn.ReLU(True)
    )
    return ResidualNetwork(stem, width=width, blocks=blocks)

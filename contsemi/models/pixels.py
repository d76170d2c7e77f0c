"""The pixels themselves as features: the floor that learning has to beat."""

from torch import Tensor, nn


class Pixels(nn.Module):
    """Flattens images; has no parameter.

    Args:
        size: side of the images in pixels.

    Attributes:
        num_features: 3 * size * size.
        side: the only one that images may have.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.num_features, self.side = 3 * size * size, size

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, 3 * s * s]."""
        return images.flatten(1)


def build(*, size: int) -> Pixels:
    """The identity.

    Args:
        size: side of the images in pixels, as the network sees them.
    """
    return Pixels(size=size)

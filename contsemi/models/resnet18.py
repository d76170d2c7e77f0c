"""ResNet-18 with the stem of CIFAR or of ImageNet."""

from torch import nn

from contsemi.errors import InputError
from contsemi.models.blocks import ResidualNetwork, convolution


def build(*, width: int, stem: str, padding: int) -> ResidualNetwork:
    """A ResNet-18.

    Args:
        width: channels of the first stage; 64 is standard.
        stem: ``cifar`` is 3x3 with stride 1, ``imagenet`` 7x7 with stride 2 and a max-pool.
        padding: of the CIFAR stem; 1 keeps the side, 2 is what NNCSL's published numbers were
            made with (32 pixels become 34, which costs a third more).

    Raises:
        InputError: there is no such stem, or the padding is below 0.

    Source: He et al. 2016, table 1.
    """
    if padding < 0:
        raise InputError("model.padding", f"expected at least 0, got {padding}", "use 1")
    if stem == "cifar":
        layers = [*convolution(3, width, kernel=3, stride=1, padding=padding), nn.ReLU(True)]
    elif stem == "imagenet":
        layers = [*convolution(3, width, kernel=7, stride=2, padding=3), nn.ReLU(True)]
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    else:
        raise InputError(
            "model.stem", f"expected cifar or imagenet, got {stem!r}", "use one of them"
        )
    return ResidualNetwork(nn.Sequential(*layers), width=width, blocks=[2, 2, 2, 2])

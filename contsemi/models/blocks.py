"""The residual network of small images: stem, stages of basic blocks, mean over the pixels."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

NARROW = 16  # channels


def convolution(
    inputs: int, outputs: int, *, kernel: int, stride: int, padding: int
) -> nn.Sequential:
    """Convolution without bias (Kaiming normal, fan-out) and BatchNorm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is 1x1 where the shape changes.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the first convolution and of the shortcut.

    Source: He et al. 2016, figure 2.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, kernel=3, stride=stride, padding=1)
        self.second = convolution(outputs, outputs, kernel=3, stride=1, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        # Of a 1x1 convolution in strides, oneDNN 3.12 writes the float32 gradient of narrow weights
        # beyond their memory: such a one gets the pixels that it would take.
        self.taken = stride if inputs < NARROW else 1
        if stride != 1 or inputs != outputs:
            left = stride // self.taken
            self.shortcut = convolution(inputs, outputs, kernel=1, stride=left, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, s, s] to [N, outputs, s / stride, s / stride]."""
        residual = self.second(F.relu(self.first(x), inplace=True))
        if self.taken > 1:
            x = x[:, :, :: self.taken, :: self.taken]
        return F.relu(residual + self.shortcut(x), inplace=True)


class ResidualNetwork(nn.Module):
    """Stages of basic blocks, each with twice the channels and half the side of the one before.

    Beside the features, their mean, the places of the last stage are to be had: the extra ``map``,
    [N, h w, num_features].

    Args:
        stem: maps [N, 3, s, s] to [N, width, s', s'].
        width: channels of the first stage.
        blocks: number of blocks of each stage.

    Attributes:
        num_features: channels of the last stage.
    """

    def __init__(self, stem: nn.Module, *, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = stem
        stages: list[nn.Module] = []
        inputs = width
        for stage, depth in enumerate(blocks):
            outputs = width * 2**stage
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(BasicBlock(inputs, outputs, stride=stride))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.num_features = inputs
        self.extras = {"map": inputs}

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, num_features]."""
        features: Tensor = self.stages(self.stem(images))
        return features.mean(dim=(2, 3))

    def with_extras(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The same, and the map."""
        features: Tensor = self.stages(self.stem(images))
        return features.mean(dim=(2, 3)), {"map": features.flatten(2).transpose(1, 2)}

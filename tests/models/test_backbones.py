"""All backbones: shapes, parameter counts, torchvision as the reference, and randomness."""

import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from torch import Tensor, nn
from torch.nn import functional

from contsemi import discovery
from contsemi.errors import InputError
from contsemi.models import build_backbone
from contsemi.models.blocks import BasicBlock
from contsemi.models.efficientnet_lite0 import PACKAGE
from contsemi.models.prompts import Prompts

CONF = sorted((Path(__file__).parents[2] / "conf" / "model").glob("*.yaml"))
CIFAR: dict[str, Any] = {"name": "resnet18", "width": 64, "stem": "cifar", "padding": 1}
SLIM: dict[str, Any] = {"name": "resnet_slim", "width": 8, "blocks": [1, 1, 1], "stem_stride": 1}
VIT: dict[str, Any] = {
    "name": "vit_small", "image_size": 32, "patch": 16, "prompts": 0, "prompts_read": 0,
}  # fmt: skip


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(side: int, rows: int = 2) -> Tensor:
    return torch.randn(rows, 3, side, side, generator=draw(1))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def configuration(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    config.pop("ranges", None)  # of the command line, not of the network
    if config.get("pretrained"):
        pytest.importorskip(PACKAGE)
    # What the configuration takes from the views is 32 pixels here.
    config = {k: 32 if isinstance(v, str) and v.startswith("${") else v for k, v in config.items()}
    assert config["name"] == path.stem
    if config["name"] == "timm":
        pytest.importorskip("timm")
    return config


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.stem)
def test_every_configuration_builds(path: Path) -> None:
    config = configuration(path)
    backbone = build_backbone(config, draw()).eval()
    with torch.no_grad():
        features = backbone(images(32))
    assert features.shape == (2, backbone.num_features) and features.isfinite().all()


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.stem)
def test_only_the_sizes_are_asked_without_weights_or_a_warning(path: Path) -> None:
    with warnings.catch_warnings(action="error"), torch.device("meta"):
        backbone = build_backbone(configuration(path), draw())
    assert {value.device.type for value in backbone.state_dict().values()} <= {"meta"}


def test_resnet18_has_the_size_of_torchvisions() -> None:
    theirs = torchvision.models.resnet18()
    theirs.fc = nn.Identity()
    ours = build_backbone(CIFAR | {"stem": "imagenet"}, draw())
    assert count(ours) == count(theirs)


def test_resnet18_computes_what_torchvisions_does() -> None:
    theirs = torchvision.models.resnet18()
    theirs.fc = nn.Identity()
    ours = build_backbone(CIFAR | {"stem": "imagenet"}, draw())
    # Same layers in the same order, but that the shortcut stands last in a block in both.
    mine, other = list(ours.state_dict().values()), list(theirs.state_dict().values())
    assert [v.shape for v in mine] == [v.shape for v in other]
    with torch.no_grad():
        for target, source in zip(mine, other, strict=True):
            target.copy_(source)
    x = images(64)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(("padding", "side", "last"), [(1, 32, 4), (2, 32, 5), (2, 18, 3)])
def test_padding_decides_the_sides(padding: int, side: int, last: int) -> None:
    backbone = build_backbone(CIFAR | {"padding": padding, "width": 8}, draw())
    assert backbone.stages(backbone.stem(images(side))).shape[-1] == last


def test_nncsl_network_has_the_published_size() -> None:
    assert count(build_backbone(CIFAR, draw())) == 11_168_832


@pytest.mark.parametrize(("stride", "side"), [(1, 32), (2, 16)])
def test_slim_stem_stride(stride: int, side: int) -> None:
    backbone = build_backbone(SLIM | {"stem_stride": stride}, draw())
    assert backbone.stem(images(32)).shape == (2, 8, side, side)
    assert backbone.num_features == 32


def test_blocks_decide_the_depth() -> None:
    backbone = build_backbone(SLIM | {"blocks": [2, 3]}, draw())
    assert len(backbone.stages) == 5 and backbone.num_features == 16


def test_vit_equals_torchvision_at_its_own_size_and_takes_others() -> None:
    backbone = build_backbone(VIT, draw()).eval()
    x = images(32)
    torch.testing.assert_close(backbone(x), backbone.trunk(x))
    assert backbone(images(16)).shape == backbone(images(48)).shape == (2, 384)
    assert count(backbone) == 21_665_664 - (197 - 5) * 384  # published for 224 pixels, no head


@pytest.mark.thorough
def test_prompts_are_read_by_every_layer_and_change_what_the_class_token_is() -> None:
    plain = build_backbone(VIT, draw()).eval()
    prompted = build_backbone(VIT | {"prompts": 3, "prompts_read": 2}, draw()).eval()
    prompted.trunk.load_state_dict(plain.trunk.state_dict())
    x = images(32)
    tokens = prompted.tokens(x)
    assert tokens.shape == (2, 1 + 3 + 4, 384) and plain.tokens(x).shape == (2, 1 + 4, 384)
    assert plain.extras.keys() == plain.with_extras(x)[1].keys() == {"tokens"}
    torch.testing.assert_close(plain.with_extras(x)[1]["tokens"], plain.tokens(x)[:, 1:])
    features, extras = prompted.with_extras(x)
    torch.testing.assert_close(features, prompted(x))
    assert prompted.extras == {name: value.shape[-1] for name, value in extras.items()}
    assert prompted.extras.keys() == {"tokens", "prompts"}
    extra = extras["prompts"]
    torch.testing.assert_close(extra, (tokens[:, 1] + tokens[:, 2]) / 2)
    assert not torch.allclose(prompted(x), plain(x))
    extra.square().sum().backward()
    gradient = prompted.prompts.tokens.grad
    assert gradient.shape == (12, 3, 384) and (gradient != 0).any(dim=2).all()


def test_what_a_layer_made_of_its_prompts_gives_way_to_the_next_ones() -> None:
    """Layers that keep their input hand on the class token and the patches alone."""
    prompts = Prompts(3, 2, 4, patch=4)
    x = torch.randn(2, 6, 4, generator=draw())
    found = prompts(x, [nn.Identity()] * 3)
    assert torch.equal(found[:, [0, *range(3, 8)]], x)
    assert torch.equal(found[:, 1:3], prompts.tokens[2].expand(2, -1, -1))


def test_more_prompts_cannot_be_read_than_there_are() -> None:
    for prompts, read in ((2, 3), (2, 0), (0, 1)):
        with pytest.raises(InputError, match=r"model\.prompts_read"):
            build_backbone(VIT | {"prompts": prompts, "prompts_read": read}, draw())


def test_vit_positions_reach_small_views() -> None:
    backbone = build_backbone(VIT, draw()).eval()
    backbone(images(16))[:, 0].sum().backward()  # all of a normalised layer sum to a constant
    gradient = backbone.trunk.encoder.pos_embedding.grad
    assert gradient is not None and gradient[:, 1:].abs().max() > 1e-6


def test_vit_sides_are_multiples_of_the_patch() -> None:
    with pytest.raises(InputError, match=r"model\.patch"):
        build_backbone(VIT | {"patch": 7}, draw())
    with pytest.raises(InputError, match=r"views of 18x18"):
        build_backbone(VIT, draw())(images(18))


def test_pixels_are_the_pixels() -> None:
    backbone = build_backbone({"name": "pixels", "size": 4}, draw())
    x = images(4)
    assert torch.equal(backbone(x), x.flatten(1)) and count(backbone) == 0
    assert backbone.num_features == 48


@pytest.mark.parametrize("config", [CIFAR | {"width": 8}, SLIM, {"name": "resnet50"}, VIT])
def test_weights_come_from_the_generator_alone(config: dict[str, Any]) -> None:
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first = build_backbone(config, draw(5))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    second, other = build_backbone(config, draw(5)), build_backbone(config, draw(6))
    pairs = zip(first.parameters(), second.parameters(), other.parameters(), strict=True)
    differs = False
    for a, b, c in pairs:
        assert torch.equal(a, b)
        differs = differs or not torch.equal(a, c)
    assert differs


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "network"}, "not a backbone"),
        ({"name": "resnet81"}, "resnet81"),
        (SLIM | {"wdith": 3}, "wdith"),
        (SLIM | {"stem_stride": 0}, r"model\.stem_stride: expected at least 1, got 0"),
        (CIFAR | {"padding": -1}, r"model\.padding: expected at least 0, got -1"),
        ({"name": "pixels"}, "size"),
        (CIFAR | {"stem": "round"}, "cifar or imagenet"),
        (SLIM | {"blocks": []}, "counts"),
        (SLIM | {"blocks": [1, 0]}, "counts"),
    ],
)
def test_wrong_configuration_teaches(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build_backbone(config, draw())
    assert "\n" not in str(caught.value)


def test_other_packages_bring_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("theirs", "contsemi.models.pixels", "contsemi.models")
    monkeypatch.setattr(discovery, "entry_points", lambda **_: [entry])
    assert build_backbone({"name": "theirs", "size": 2}, draw()).num_features == 12


def test_efficientnet_lite0_has_the_size_of_timms() -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    ours = build_backbone(
        {"name": "efficientnet_lite0", "pretrained": False, "frozen": False}, draw()
    )
    assert count(ours) == count(theirs)
    assert ours.num_features == theirs.num_features


def test_efficientnet_lite0_says_what_timms_says_by_the_packages_weights() -> None:
    timm = pytest.importorskip("timm")
    package = pytest.importorskip(PACKAGE)
    file = Path(package.__path__[0]) / "models" / "efficientnet-lite0-57934424.pth"
    weights = torch.load(file, "cpu", weights_only=True)
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    own = theirs.state_dict()
    assert [v.shape for v in weights.values()] == [v.shape for v in own.values()]
    theirs.load_state_dict(dict(zip(own, weights.values(), strict=True)))
    ours = build_backbone(
        {"name": "efficientnet_lite0", "pretrained": True, "frozen": True}, draw()
    )
    x = images(96)
    with torch.no_grad():
        expected = theirs.forward_head(theirs.forward_features(x), pre_logits=True)
        torch.testing.assert_close(ours.eval()(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("inputs", [4, 16])
def test_a_shortcut_in_strides_is_the_strided_convolution(inputs):
    """Narrow ones are computed otherwise; outputs and gradients in float64 against torch's."""
    block = BasicBlock(inputs, 2 * inputs, stride=2).double().eval()
    x = torch.randn(2, inputs, 7, 7, dtype=torch.float64, requires_grad=True)
    weight = block.shortcut[0].weight
    residual = block.second(block.first(x).relu())
    expected = (residual + block.shortcut[1](functional.conv2d(x, weight, stride=2))).relu()
    found = block(x)
    assert torch.allclose(found, expected, atol=1e-12)
    towards = torch.randn_like(found)
    for a, b in zip(
        torch.autograd.grad(found, (x, weight), towards),
        torch.autograd.grad(expected, (x, weight), towards),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.thorough
def test_gradients_of_narrow_networks_stay_in_their_memory():
    """A 1x1 convolution in strides ended the process: a child of its own tries each width."""
    code = """
import torch
from contsemi.models.blocks import BasicBlock
torch.set_num_threads(1)
for width in (4, 8, 12):
    block = BasicBlock(width, 2 * width, stride=2).to(memory_format=torch.channels_last)
    x = torch.randn(8, width, 128, 128).to(memory_format=torch.channels_last)
    for _ in range(3):
        block(x.requires_grad_()).sum().backward()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""Checkpoints in the layouts of SwAV, Suave, DINO and Daino, made up here; and those to refuse."""

import argparse
import os
import pickle
import re

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.models import build_backbone
from contsemi.models.efficientnet_lite0 import EfficientNetLite0
from contsemi.models.network import Network
from contsemi.models.pretrained import load_weights
from contsemi.models.vit_small import VitSmall

WIDE = 16


class SmallResNet(nn.Module):
    """torchvision's names, few parameters."""

    num_features = WIDE

    def __init__(self):
        super().__init__()
        block = torchvision.models.resnet.Bottleneck
        self.trunk = torchvision.models.ResNet(block, [1, 1, 1, 1], width_per_group=1)
        self.trunk.layer2 = self.trunk.layer3 = self.trunk.layer4 = nn.Identity()
        self.trunk.fc = nn.Identity()


class SmallVit(VitSmall):
    num_features = 12


def network(backbone, seed=0, norm=True, projector=(8, 4)):
    torch.manual_seed(seed)
    heads = ("projector", "prototypes")
    made = Network(backbone(), heads, projector, torch.Generator().manual_seed(seed), norm=norm)
    made.grow(3, torch.Generator().manual_seed(seed))
    return made


def resnet(seed=0):
    return network(SmallResNet, seed)


def vit(seed=0):
    make = lambda: SmallVit(image_size=16, patch=8)  # noqa: E731
    return network(make, seed, norm=False, projector=(8, 8, 4))


def drawn(tensors):
    """Other numbers of the same shapes."""
    draw = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(value.shape, generator=draw) if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def swav(nested=False):
    """The official names: torchvision's trunk, the head as one list or (Suave) as nested ones."""
    plain = resnet().state_dict()
    tensors = {}
    for name, value in plain.items():
        head = re.fullmatch(r"projector\.(\d)\.(\w+)", name)
        if name.startswith("backbone.trunk."):
            tensors["module." + name.removeprefix("backbone.trunk.")] = value
        elif head and nested:
            outer = "0." + head[1] if int(head[1]) < 3 else "1"
            tensors[f"module.projection_head.{outer}.{head[2]}"] = value
        elif head:
            tensors[f"module.projection_head.{head[1]}.{head[2]}"] = value
    tensors["module.prototypes.weight"] = torch.zeros(3000, 4)
    if nested:
        tensors["module.cls_heads.0.weight"] = torch.zeros(1000, WIDE)
    return drawn(tensors)


def block_names(i):
    yield from (f"blocks.{i}.norm{j}.{part}" for j in (1, 2) for part in ("weight", "bias"))
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    yield from (f"blocks.{i}.{layer}.{part}" for layer in layers for part in ("weight", "bias"))


def dino_trunk(dim=12, hidden=1536, layers=12):
    shapes = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
    shapes |= {"mlp.fc1": (hidden, dim), "mlp.fc2": (dim, hidden), "norm1": (dim,), "norm2": (dim,)}
    tensors = {
        "cls_token": torch.zeros(1, 1, dim),
        "pos_embed": torch.zeros(1, 5, dim),
        "patch_embed.proj.weight": torch.zeros(dim, 3, 8, 8),
        "patch_embed.proj.bias": torch.zeros(dim),
        "norm.weight": torch.zeros(dim),
        "norm.bias": torch.zeros(dim),
    }
    for name in (name for i in range(layers) for name in block_names(i)):
        shape = shapes[re.fullmatch(r"blocks\.\d+\.(.+)\.\w+", name)[1]]
        tensors[name] = torch.zeros(shape if name.endswith("weight") else shape[:1])
    return drawn(tensors)


def dino_full():
    """A full checkpoint: student and teacher, the command line, rates as NumPy scalars."""
    student = {f"module.backbone.{name}": value for name, value in dino_trunk().items()}
    widths = {0: (8, 12), 2: (8, 8), 4: (4, 8)}
    for i, shape in widths.items():
        student[f"module.head.mlp.{i}.weight"] = torch.full(shape, float(i + 1))
        student[f"module.head.mlp.{i}.bias"] = torch.full(shape[:1], float(i + 1))
    student["module.head.last_layer.weight_g"] = torch.ones(65536, 1)
    student["module.head.last_layer.weight_v"] = torch.zeros(65536, 4)
    teacher = {k.removeprefix("module."): torch.zeros_like(v) for k, v in student.items()}
    return {
        "student": student,
        "teacher": teacher,
        "optimizer": {"state": {}, "param_groups": [{"lr": np.float64(0.1), "params": [0]}]},
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small", lr=5e-4, data=None, crops=(0.4, 1.0)),
        "dino_loss": {"center": torch.zeros(1, 65536)},
    }


@pytest.fixture
def saved(tmp_path):
    def save(content, name="weights.pth.tar"):
        path = tmp_path / name
        if name.endswith(".safetensors"):
            save_file(content, path)
        else:
            torch.save(content, path)
        return path

    return save


@pytest.mark.parametrize("projector", [False, True])
@pytest.mark.parametrize("nested", [False, True], ids=["swav", "suave"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_swav_and_suave(projector, nested, wrapped, saved):
    tensors = swav(nested)
    content = {"epoch": 7, "state_dict": tensors, "optimizer": {}} if wrapped else tensors
    made, before = resnet(seed=2), resnet(seed=2).state_dict()
    load_weights(made, saved(content), projector=projector)
    after = made.state_dict()
    assert torch.equal(after["backbone.trunk.conv1.weight"], tensors["module.conv1.weight"])
    name = "layer1.0.downsample.1.running_var"
    assert torch.equal(after[f"backbone.trunk.{name}"], tensors[f"module.{name}"])
    last = "module.projection_head.1.weight" if nested else "module.projection_head.3.weight"
    assert torch.equal(after["projector.3.weight"], tensors[last]) == projector
    assert torch.equal(after["projector.3.weight"], before["projector.3.weight"]) != projector
    norm = "module.projection_head.0.1.weight" if nested else "module.projection_head.1.weight"
    assert torch.equal(after["projector.1.weight"], tensors[norm]) == projector
    assert torch.equal(after["prototypes.weight"], before["prototypes.weight"])


def dino_forward(tensors, images, heads=6):
    """The class token of DINO's vision transformer, written out."""
    x = functional.conv2d(
        images, tensors["patch_embed.proj.weight"], tensors["patch_embed.proj.bias"], stride=8
    )
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([tensors["cls_token"].expand(len(x), -1, -1), x], 1) + tensors["pos_embed"]
    dim = x.shape[2]

    def norm(x, name):
        return functional.layer_norm(
            x, (dim,), tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps=1e-6
        )

    def layer(x, name):
        return functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    for i in range(12):
        qkv = layer(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        q, k, v = qkv.view(len(x), -1, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(2, 3) * (dim // heads) ** -0.5).softmax(3) @ v
        attention = attention.transpose(1, 2).flatten(2)
        x = x + layer(attention, f"blocks.{i}.attn.proj")
        hidden = functional.gelu(layer(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"))
        x = x + layer(hidden, f"blocks.{i}.mlp.fc2")
    return norm(x, "norm")[:, 0]


@pytest.mark.parametrize("full", [False, True])
def test_dino(full, saved):
    content = dino_full() if full else dino_trunk()
    made, before = vit(seed=2), vit(seed=2).state_dict()
    load_weights(made, saved(content, "checkpoint.pth"), projector=full)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    expected = dino_forward(dino_trunk(), images)
    torch.testing.assert_close(made.eval().backbone(images), expected, rtol=1e-4, atol=1e-4)
    after = made.state_dict()
    if full:
        assert (after["projector.2.weight"] == 3).all()
        assert (after["projector.4.bias"] == 5).all()
    else:
        assert torch.equal(after["projector.2.weight"], before["projector.2.weight"])
    assert torch.equal(after["prototypes.weight"], before["prototypes.weight"])


def test_our_own_state(saved):
    start = resnet(seed=5)
    state = {f"network|{name}": value.clone() for name, value in start.state_dict().items()}
    state |= {"past|backbone.trunk.conv1.weight": torch.zeros(1), "optimizer|0|step": torch.ones(1)}
    made = resnet(seed=2)
    load_weights(made, saved(state, "state-000003.safetensors"), projector=True)
    for name, value in made.state_dict().items():
        assert torch.equal(value, start.state_dict()[name]) != (name == "prototypes.weight"), name


def test_a_backbone_that_a_run_has_fine_tuned_starts_another(saved):
    tuned, frozen = EfficientNetLite0(), EfficientNetLite0()
    state = drawn(tuned.state_dict())
    wanted = Network(frozen, (), (8, 4), torch.Generator())
    load_weights(
        wanted, saved({f"network|backbone.{n}": v for n, v in state.items()}), projector=False
    )
    for name, value in frozen.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("name", ["resnet50", "vit_small"])
def test_every_tensor_of_the_real_backbones_is_found(name):
    """Shapes only: the official names of a ResNet-50 and of a ViT-S/16 lead to all of ours."""
    from contsemi.models import resnet50, vit_small
    from contsemi.models.pretrained import _in_our_names

    with torch.device("meta"):
        if name == "resnet50":
            ours = resnet50.build().state_dict()
            official = torchvision.models.resnet50(weights=None).state_dict()
        else:
            ours = vit_small.build(image_size=224, patch=16, prompts=0, prompts_read=0).state_dict()
            official = dict.fromkeys(dino_trunk())
    found = {ours_name for _, ours_name, _ in _in_our_names(official)}
    assert found == {f"backbone.{each}" for each in ours}


def without(tensors, name):
    return {k: v for k, v in tensors.items() if k != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: without(t, "module.bn1.weight"), r"backbone\.trunk\.bn1\.weight: .*no such"),
        (lambda t: t | {"module.bn9.weight": torch.zeros(2)}, r"module\.bn9\.weight: .*got \[2\]"),
        (
            lambda t: t | {"module.conv1.weight": torch.zeros(1, 3, 3, 3)},
            r"module\.conv1\.weight: expected \[64, 3, 7, 7\], got \[1, 3, 3, 3\]",
        ),
        (lambda t: t | {"module.conv1.weight": 3}, r"module\.conv1\.weight: .*got an int"),
        (lambda t: {}, "tensors by name"),
        (lambda t: [torch.zeros(2)], "tensors by name, got list"),
    ],
    ids=["missing", "left over", "mis-shaped", "no tensor", "empty", "list"],
)
def test_what_does_not_fit_is_named_in_one_line(change, said, saved):
    path, made = saved(change(swav())), resnet(seed=2)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with pytest.raises(InputError, match=said) as caught:
        load_weights(made, path, projector=False)
    assert str(caught.value).startswith(f"init.weights: {path}: ")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())


def test_a_projector_that_is_not_there(saved):
    tensors = {k: v for k, v in swav().items() if "projection" not in k}
    load_weights(resnet(), saved(tensors), projector=False)
    with pytest.raises(InputError, match=r"projector\.0\.weight"):
        load_weights(resnet(), saved(tensors), projector=True)


class Hostile:
    """Would make a folder when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("plain", [False, True], ids=["torch.save", "pickle"])
def test_a_hostile_pickle_is_not_run(plain, saved, tmp_path):
    trap = tmp_path / "sprung"
    content = swav() | {"args": Hostile(str(trap))}
    path = saved(content)
    if plain:
        path.write_bytes(pickle.dumps({"args": Hostile(str(trap))}))
    with pytest.raises(InputError, match="cannot be read safely"):
        load_weights(resnet(), path, projector=False)
    assert not trap.exists()
    torch.load(saved({"args": Hostile(str(trap))}, "other"), weights_only=False)
    assert trap.exists()  # the trap works


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_files_that_are_none(name, tmp_path):
    path = tmp_path / name
    with pytest.raises(InputError, match=r"init\.weights"):
        load_weights(resnet(), path, projector=False)
    path.write_bytes(b"\x80\x02 not this either" * 9)
    with pytest.raises(InputError, match="cannot be read safely"):
        load_weights(resnet(), path, projector=False)


def small_resnet18():
    from contsemi.models import resnet18

    return network(lambda: resnet18.build(width=64, stem="imagenet", padding=1))


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "_orig_mod.", "model.", "module.encoder_q.", "backbone.0.", "module.", "encoder."),
        *(
            "module.encoder.",
            "model.net.",
            "online_encoder.net.",
            "module.base_encoder.",
            "backbone.",
        ),
    ],
)
@pytest.mark.quick(2)
def test_torchvisions_resnet18_under_the_usual_prefixes(prefix, saved):
    official = torchvision.models.resnet18(weights=None).eval()
    state = {prefix + name: value for name, value in official.state_dict().items()}
    if "encoder_q" in prefix:
        state |= {"module.encoder_k.conv1.weight": torch.zeros(1), "module.queue": torch.zeros(2)}
    if "base_encoder" in prefix or "online" in prefix:
        slow = prefix.replace("base", "momentum").replace("online", "target")
        state |= {f"{slow}conv1.weight": torch.zeros(1)}
    if "net" in prefix:
        state = {"epoch": 3, "model_state_dict": state}
    made = small_resnet18()
    load_weights(made, saved(state), projector=False)
    official.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(made.backbone.eval()(images), official(images))


def test_of_our_own_states_the_network_that_predicts_is_taken(saved):
    student, teacher = resnet(seed=5), resnet(seed=6)
    state = {f"network|{name}": value.clone() for name, value in student.state_dict().items()}
    state |= {f"teacher|{name}": value.clone() for name, value in teacher.state_dict().items()}
    made = resnet(seed=2)
    load_weights(made, saved(state, "state-000003.safetensors"), projector=False)
    name = "backbone.trunk.conv1.weight"
    assert torch.equal(made.state_dict()[name], teacher.state_dict()[name])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value, saved):
    state = swav() | {"module.bn1.weight": torch.full((64,), value)}
    with pytest.raises(InputError, match=r"module\.bn1\.weight is not finite"):
        load_weights(resnet(seed=2), saved(state), projector=False)


def test_one_tensor_alone_is_none_by_name(saved):
    with pytest.raises(InputError, match="expected tensors by name, got Tensor"):
        load_weights(resnet(seed=2), saved(torch.zeros(3)), projector=False)


def test_names_that_are_no_text_are_said_to_be(tmp_path):
    torch.save({1: torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="names of tensors have to be text, got int"):
        load_weights(resnet(), tmp_path / "w.pt", projector=False)
    torch.save({"a": 1.5}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="a: expected a tensor, got a float"):
        load_weights(resnet(), tmp_path / "w.pt", projector=False)


@pytest.mark.parametrize(("ours", "theirs"), [("cifar", "imagenet"), ("imagenet", "cifar")])
def test_the_other_first_layer_names_the_key(ours, theirs, tmp_path):
    """Torchvision's ResNet-18 is of 7 x 7 pixels, and one for CIFAR of 3 x 3."""

    def made(stem):
        options = {"name": "resnet18", "width": 8, "stem": stem, "padding": 1}
        draw = torch.Generator().manual_seed(0)
        return Network(build_backbone(options, draw), ("projector",), (8, 4), draw)

    save_file(made(theirs).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=rf"set model\.stem={theirs}"):
        load_weights(made(ours), tmp_path / "w.safetensors", projector=False)

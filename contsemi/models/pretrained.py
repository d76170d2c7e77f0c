"""Weights to start from: checkpoints of SwAV, DINO, Suave and Daino, and our own.

Nothing of a file is run: pickles are read by torch's reader of plain tensors, which refuses every
other object but the few harmless ones that the official checkpoints hold beside theirs.
"""

import argparse
import re
import tarfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from contsemi.errors import InputError, article
from contsemi.models.network import Network

# The keys under which official checkpoints have the network that was trained. Of a student and a
# teacher it is the student, as in Daino.
NETWORKS = ("student", "state_dict", "model_state_dict", "model", "net")
OURS = ("teacher|", "network|")  # in our own states: the first that is there predicts
# What wraps a network in other codes: torch.compile, data parallelism, MoCo, torch's Sequential;
# and what they call it, before a name that a ResNet or ViT begins with (a ViT has an `encoder`).
_FIRST = r"(?=(?:\w+\.)*?(?:conv1|bn1|layer[1-4]|fc|cls_token|pos_embed|patch_embed|blocks|norm)\b)"
WRAPPED = re.compile(
    r"^(?:_orig_mod\.|module\.|model\.|encoder_q\.|backbone\.0\.|(?:online_|base_)?"
    rf"(?:encoder|network|net|resnet|student|feature_extractor|base_model)\.{_FIRST})+"
)
LEFT_OUT = re.compile(
    r"(?:backbone\.)?(prototypes|clusters|classifier|predictor|auxiliary|cls_heads|cls_ensemble|fc|heads"
    r"|head\.last_layer|head\.cls_heads|encoder_k|momentum_encoder|target_encoder|queue|queue_ptr)\b"
)
# What a file may lack: counters, and prompts, which are learned on a backbone that has none.
LEARNED_HERE = ("num_batches_tracked", "backbone.prompts.tokens")
TRUNK = "backbone.trunk."  # of resnet50 and vit_small
VIT = (
    (r"cls_token$", "class_token"),
    (r"pos_embed$", "encoder.pos_embedding"),
    (r"patch_embed\.proj\.", "conv_proj."),
    (r"norm\.", "encoder.ln."),
    (r"blocks\.(\d+)\.norm([12])\.", r"encoder.layers.encoder_layer_\1.ln_\2."),
    (r"blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.encoder_layer_\1.self_attention.in_proj_"),
    (r"blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.encoder_layer_\1.self_attention.out_proj."),
    (r"blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layers.encoder_layer_\1.mlp.0."),
    (r"blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layers.encoder_layer_\1.mlp.3."),
)


# Parts of torchvision's ResNet-18, whose stages have two blocks each, in ours.
PARTS_18 = {"conv1": "first.0", "bn1": "first.1", "conv2": "second.0", "bn2": "second.1"}


def load_weights(network: Network, path: Path, *, projector: bool) -> None:
    """Gives a network the backbone of a file, in place; prototypes and classifier stay new.

    Understood are torchvision's ResNet-18, ResNet-50 and ViT, the checkpoints of SwAV and Suave
    (ResNet-50), of DINO and Daino (ViT, ResNet-50; full ones or the backbone alone), MoCo's
    encoder, and ``state-*.safetensors`` of our own runs, of which the network that predicts.

    Args:
        network: what is to start from the file.
        path: a file of torch.save or safetensors.
        projector: whether to take the projector too.

    Raises:
        InputError: the file cannot be read, or a tensor is missing, left over or of another shape.
    """
    path = path.expanduser()
    take: Callable[[Path], None] | None = getattr(network.backbone, "take", None)
    if take is not None:  # a backbone that has names of its own
        if projector:
            problem = "takes a projector too, and such a file has none"
            raise InputError("init.projector", problem, "set it to false")
        take(path)
        return
    state = network.state_dict()
    basic = "backbone.stages.0.first.0.weight" in state
    found = {
        _in_resnet18(ours) if basic else ours: (theirs, value)
        for theirs, ours, value in _in_our_names(read_tensors(path, "init.weights"))
        if projector or not ours.startswith("projector.")
    }
    parts = ("backbone.", "projector.") if projector else ("backbone.",)
    wanted = {k: v for k, v in state.items() if k.startswith(parts)}
    for name, value in wanted.items():
        shape = list(value.shape)
        if name not in found and not name.endswith(LEARNED_HERE):
            held = [theirs for theirs, _ in found.values()]
            some = f"{', '.join(held[:3])}, ..." if held else "none of a backbone"
            problem = f"expected {shape}, and the file has no such tensor; it holds {some}"
            raise _misfit(path, name, problem)
        if name in found and list(found[name][1].shape) != shape:
            theirs, given = found[name]
            problem = f"expected {shape}, got {list(given.shape)}"
            raise _misfit(path, theirs, problem, _other_stem(shape, list(given.shape)))
    for name, (theirs, given) in found.items():
        if name not in wanted:
            raise _misfit(path, theirs, f"expected no such tensor, got {list(given.shape)}")
    for theirs, given in found.values():
        if given.is_floating_point() and not given.isfinite().all():
            fix = "name a file of a run that did not diverge"
            raise InputError("init.weights", f"{path}: {theirs} is not finite", fix)
    network.load_state_dict({k: value for k, (_, value) in found.items()}, strict=False)


def _misfit(path: Path, name: str, problem: str, fix: str = "") -> InputError:
    usual = "choose model and projector as in the file, or another file"
    return InputError("init.weights", f"{path}: {name}: {problem}", fix or usual)


def _other_stem(ours: Sequence[int], theirs: Sequence[int]) -> str:
    """What to do where a file has the other first layer; empty where that is not it."""
    if len(ours) != 4 or ours[:2] != theirs[:2]:
        return ""
    stem = {7: "imagenet", 3: "cifar"}.get(theirs[-1], "")
    return f"the file is of a network for other images: set model.stem={stem}" if stem else ""


def read_tensors(path: Path, key: str) -> dict[str, Tensor]:
    """The tensors of the network in a file, by the file's names.

    Args:
        path: a file of torch.save or safetensors.
        key: that names it, for errors.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise InputError(key, f"{path}: is not a regular file", "name a file of weights")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(key, f"{path}: {reason}", "name a file of weights") from error
    except Exception as error:  # a file of any bytes can fail in any way
        raise InputError(
            key,
            f"{path}: expected plain tensors, got what cannot be read safely "
            f"({type(error).__name__})",
            "save the state_dict alone, by torch.save or as safetensors",
        ) from error
    for name in NETWORKS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not len(content):
        kind = "none" if isinstance(content, Mapping) else type(content).__name__
        raise InputError(
            key,
            f"{path}: expected tensors by name, got {kind}",
            "save a state_dict",
        )
    for name, value in content.items():
        if not isinstance(name, str):
            problem = f"names of tensors have to be text, got {type(name).__name__}"
            raise InputError(key, f"{path}: {problem}", "save a state_dict")
        if not isinstance(value, Tensor):
            raise _misfit(
                path, name[:60], f"expected a tensor, got {article(type(value).__name__)}"
            )
    for own in OURS:
        if any(name.startswith(own) for name in content):
            content = {k: v for k, v in content.items() if k.startswith(own)}
            break
    return dict(content)


def _unpickled(path: Path) -> Any:
    """What is in a file of torch.save, if it is tensors, numbers, texts and containers."""
    if tarfile.is_tarfile(path):  # torch would unpack it to the disk
        raise ValueError("the format of torch before 0.1.11")
    # Official checkpoints hold the command line and, in the optimiser, rates as NumPy scalars.
    scalar = np.float64(0).__reduce__()[0]
    harmless = [
        argparse.Namespace,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Int64DType,
    ]
    with (
        warnings.catch_warnings(),
        torch.serialization.safe_globals(harmless),  # type: ignore[arg-type]
    ):
        warnings.simplefilter("ignore")  # of old formats, beside our own line
        return torch.load(path, map_location="cpu", weights_only=True)


def _in_our_names(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    """Each tensor's name in the file, its name in our network, and itself; heads left out."""
    names = {name: _unwrapped(name) for name in tensors}
    nested = any(re.match(r"projection_head\.\d+\.\d+\.", name) for name in names.values())
    ours = any(name.startswith("backbone.stages.") for name in names.values())  # a state_dict
    for theirs, plain in names.items():
        if LEFT_OUT.match(plain):
            continue
        if not (ours or theirs.startswith(OURS)):
            plain = _head_name(plain, nested) or _trunk_name(plain)
        yield theirs, plain, tensors[theirs]


def _unwrapped(name: str) -> str:
    for own in OURS:
        if name.startswith(own):
            return name.removeprefix(own)
    return WRAPPED.sub("", name)


def _head_name(name: str, nested: bool) -> str | None:
    """The projector's name of a tensor of SwAV's, Suave's or DINO's head; ``None`` if it is none.

    SwAV has one list of layers. Suave has nested lists of linear layer, BatchNorm and ReLU.
    """
    match = re.fullmatch(r"(?:projection_head|head\.mlp)\.(?:(\d+)\.)?(?:(\d+)\.)?(\w+)", name)
    if match is None:
        return None
    outer, inner, what = match.groups()
    layer = 3 * int(outer) + int(inner or 0) if nested else int(outer or 0)
    return f"projector.{layer}.{what}"


def _in_resnet18(name: str) -> str:
    """The name in our ResNet-18 of a tensor of torchvision's."""
    if match := re.fullmatch(TRUNK + r"(conv|bn)1\.(\w+)", name):
        return f"backbone.stem.{'01'[match[1] == 'bn']}.{match[2]}"
    pattern = TRUNK + r"layer(\d)\.([01])\.(?:(conv[12]|bn[12])|downsample\.([01]))\.(\w+)"
    if match := re.fullmatch(pattern, name):
        layer, block, part, shortcut, what = match.groups()
        inside = PARTS_18[part] if part else f"shortcut.{shortcut}"
        return f"backbone.stages.{2 * (int(layer) - 1) + int(block)}.{inside}.{what}"
    return name


def _trunk_name(name: str) -> str:
    """The name in torchvision's ResNet-50 or ViT, inside our backbone."""
    name = name.removeprefix("backbone.")
    for pattern, ours in VIT:
        if re.match(pattern, name):
            return TRUNK + re.sub(pattern, ours, name, count=1)
    return TRUNK + name

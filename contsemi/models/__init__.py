"""Backbones by name, the network of backbone and heads, and its copies."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from contsemi.discovery import find_module
from contsemi.errors import InputError, MethodFailed
from contsemi.models.initialise import drawing_from


def build_backbone(
    config: Mapping[str, Any], generator: torch.Generator, *, side: int | None = None
) -> nn.Module:
    """Builds the backbone ``config["name"]`` with the other keys as arguments.

    The name is that of a module here, or of an entry point in the group ``contsemi.models``: a
    module with a function ``build(*, ...) -> nn.Module``. What it returns maps [N, 3, s, s] to
    [N, F] and has the attribute ``num_features`` = F.

    Args:
        config: the section ``model``.
        generator: draws the weights; on the CPU. No global random state is changed.
        side: of an image that a backbone of another package is tried on; ``None`` for no trial.

    Raises:
        InputError: there is no such backbone, or it has no such key, or lacks one.
        MethodFailed: what it returns is none.
    """
    name = config["name"]
    params = {key: value for key, value in config.items() if key != "name"}
    module = find_module("models", name)
    build = getattr(module, "build", None)
    if build is None and not module.__name__.startswith("contsemi."):
        raise MethodFailed.in_module(module, "has no function build(), which makes a backbone")
    if build is None:
        raise InputError("model.name", f"{name} is not a backbone", "use a name of conf/model/")
    _check_keys(name, params, inspect.signature(build))
    with drawing_from(generator):
        backbone: nn.Module = build(**params)
        if not isinstance(backbone, nn.Module) or not hasattr(backbone, "num_features"):
            what = "an nn.Module with num_features, the width of what it returns"
            raise MethodFailed.returned(build, backbone, what)
        if side is not None and not build.__module__.startswith("contsemi."):  # ours are tested
            _try(build, backbone, side)
    return backbone


@torch.no_grad()
def _try(build: Callable[..., nn.Module], backbone: nn.Module, side: int) -> None:
    """Raises where an image does not become a row of ``num_features``."""
    features = backbone.eval()(torch.zeros(1, 3, side, side))
    backbone.train()
    shape = (1, backbone.num_features)
    fits = isinstance(features, Tensor) and features.shape == shape and features.is_floating_point()
    if not fits:
        what, wanted = "of an image it makes", f"a float tensor {list(shape)}"
        raise MethodFailed.returned(build, features, wanted, what=what)


def _check_keys(name: str, params: Mapping[str, Any], signature: inspect.Signature) -> None:
    """Raises where calling ``build`` would fail for a missing or an unknown key."""
    try:
        signature.bind(**params)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "no key"
        raise InputError("model", f"{name}: {error}", f"{name} takes {known}") from error

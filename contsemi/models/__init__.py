"""Backbones by name, the network of backbone and heads, and its copies."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from contsemi.discovery import find_module
from contsemi.errors import InputError
from contsemi.models.initialise import drawing_from


def build_backbone(config: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
    """Builds the backbone ``config["name"]`` with the other keys as arguments.

    The name is that of a module here, or of an entry point in the group ``contsemi.models``: a
    module with a function ``build(*, ...) -> nn.Module``. What it returns maps [N, 3, s, s] to
    [N, F] and has the attribute ``num_features`` = F.

    Args:
        config: the section ``model``.
        generator: draws the weights; on the CPU. No global random state is changed.

    Raises:
        InputError: there is no such backbone, or it has no such key, or lacks one.
    """
    name = config["name"]
    params = {key: value for key, value in config.items() if key != "name"}
    build = getattr(find_module("models", name), "build", None)
    if build is None:
        raise InputError("model.name", f"{name} is not a backbone", "use a name of conf/model/")
    _check_keys(name, params, inspect.signature(build))
    with drawing_from(generator):
        backbone: nn.Module = build(**params)
    return backbone


def _check_keys(name: str, params: Mapping[str, Any], signature: inspect.Signature) -> None:
    """Raises where calling ``build`` would fail for a missing or an unknown key."""
    try:
        signature.bind(**params)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "no key"
        raise InputError("model", f"{name}: {error}", f"{name} takes {known}") from error

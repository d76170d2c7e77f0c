"""The backbone of training steps through ``torch.compile``, where the configuration asks for it.

Backbones alone: they are nearly all of a step, and do not change when classes arrive. Evaluation
runs as it always does. Which mode pays, if any, ``scripts/bench_step.py compile`` measures; on two
CPU cores none does. On a GPU ``reduce-overhead`` replays CUDA graphs.
"""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contsemi.devices.ranks import ALONE, Ranks
from contsemi.errors import InputError
from contsemi.models.network import Network
from contsemi.types import Forward, Outputs

# A graph for each side of the views, of: network (with learning and with frozen BatchNorm), EMA
# copy and past. Beyond torch's eight it would give up without an error.
GRAPHS = 32


def compiler(mode: str, device: torch.device, ranks: Ranks = ALONE) -> Callable[[Network], Forward]:
    """What makes a training step's forward pass of a network: compiled, or the network itself.

    Numbers differ from those of ``none`` by rounding. One graph serves any number of rows, so that
    tasks with more of them compile nothing anew.

    Args:
        mode: ``none``, or a mode of ``torch.compile``.
        device: where the networks are.
        ranks: the processes that train together.

    Raises:
        InputError: there is no compiler on this machine, or several processes train.
    """
    if mode == "none":
        return lambda network: network
    if not ranks.alone:
        problem = f"{mode} is for one process, and {ranks.size} train"
        raise InputError("compile", problem, "use compile=none")
    _check_tools(mode, device)
    # its import takes a second, and loads what no other run needs
    from torch import _dynamo

    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())  # it, too
    _dynamo.config.recompile_limit = max(_dynamo.config.recompile_limit, GRAPHS)
    backbone = torch.compile(_backbone, mode=mode)

    def compiled(network: Network) -> Forward:
        def run(images: Tensor, heads: Sequence[str]) -> Outputs:
            _dynamo.maybe_mark_dynamic(images, 0)
            _dynamo.mark_static(images, [1, 2, 3])
            # copies: a CUDA graph's own outputs are overwritten when it is replayed
            features, extras = backbone(network.backbone, images, network.asks_extras(heads))
            copies = {name: value.clone() for name, value in extras.items()}
            return network.outputs(features.clone(), copies, heads=heads)

        return run

    return compiled


def _backbone(backbone: nn.Module, images: Tensor, extras: bool) -> Any:
    """The features, and the extras where they are asked for."""
    if extras:
        return backbone.with_extras(images)  # type: ignore[operator]
    return backbone(images), {}


def _check_tools(mode: str, device: torch.device) -> None:
    """Raises where torch would find no compiler, and would say so in a page of traces."""
    cuda = device.type == "cuda"
    key = "CC" if cuda else "CXX"
    usual = ["gcc", "clang"] if cuda else ["clang++" if sys.platform == "darwin" else "g++"]
    names = [os.environ[key]] if key in os.environ else usual
    if not any(shutil.which(name) for name in names):
        problem = f"{mode} needs a compiler, and {' or '.join(names)} is not here"
        raise InputError("compile", problem, f"install it, set {key}, or use compile=none")

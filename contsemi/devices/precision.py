"""Where tensors live and in which precision the network runs; losses are always float32.

float32 means float32: products in TF32, which has as few digits as float16, are off unless
``precision=tf32`` asks for them.
"""

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from contsemi.devices.ranks import ALONE, Ranks
from contsemi.errors import InputError

_TYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_FAST_FLOAT16 = (7, 0)  # compute capability from which tensor cores multiply it


def choose_device(name: str, ranks: Ranks = ALONE) -> torch.device:
    """The device that ``auto``, ``cpu`` or ``cuda[:n]`` stands for.

    Args:
        name: the key ``device``.
        ranks: the processes; each takes a GPU of its own.

    Raises:
        InputError: a GPU was asked for that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not ranks.alone:
        name = f"cuda:{ranks.local_rank}"
    elif name != "cpu" and not ranks.alone:
        problem = f"{name} is one device, and {ranks.size} processes train"
        raise InputError("device", problem, "use device=cuda, where each takes its own, or cpu")
    device = torch.device("cuda:0" if name == "cuda" else name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            "device",
            f"{name} asked for, {torch.cuda.device_count()} GPUs found",
            "use device=cpu or device=auto",
        )
    if device.type == "cuda":  # before anything is made on another one by default
        torch.cuda.set_device(device)
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of the network's products; also switches TF32 on or off for the whole process.

    Args:
        name: the key ``precision``. ``auto`` takes bfloat16 where the chip multiplies it fast, on
            a GPU without it float16 where that is fast (V100, T4), else float32.
        device: where the products are made.
    """
    tf32 = name == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    if name != "auto":
        return _TYPES[name]
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(False):
            return torch.bfloat16
        fast = torch.cuda.get_device_capability(device) >= _FAST_FLOAT16
        return torch.float16 if fast else torch.float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """Runs the network's products in ``precision``; parameters stay float32."""
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, precision)


def set_deterministic(on: bool) -> None:
    """Lets every operation give the same bits in each run, or none of them promise it.

    An operation that has no such form raises on a GPU. cuBLAS reads its variable when it is first
    used: call this before.
    """
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    # What torch.use_deterministic_algorithms does, which would import the compiler to tell it, too.
    torch.set_deterministic_debug_mode("error" if on else "default")
    # Nothing here reads it. The module is an object of a class that no stub knows.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def channels_last(module: nn.Module) -> nn.Module:
    """The memory format that convolutions are fastest in, on CPUs and GPUs."""
    return module.to(memory_format=torch.channels_last)

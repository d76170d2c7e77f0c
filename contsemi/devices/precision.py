"""Where tensors live and in which precision the network runs; losses are always float32."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from contsemi.devices.ranks import ALONE, Ranks
from contsemi.errors import InputError

__all__ = [
    "Resident",
    "autocast",
    "channels_last",
    "choose_device",
    "choose_precision",
]


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
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            "device",
            f"{name} asked for, {torch.cuda.device_count()} GPUs found",
            "use device=cpu or device=auto",
        )
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``bf16``, ``fp32``, or for ``auto`` bfloat16 where the chip multiplies it fast."""
    if name != "auto":
        return torch.bfloat16 if name == "bf16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """Runs the network's products in ``precision``; parameters stay float32."""
    if precision != torch.bfloat16:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def channels_last(module: nn.Module) -> nn.Module:
    """The memory format that convolutions are fastest in, on CPUs and GPUs."""
    return module.to(memory_format=torch.channels_last)


class Resident:
    """Brings an image array to a device once, where it leaves three quarters of the memory free.

    Args:
        device: where batches are wanted.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pair: tuple[Tensor, Tensor] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """The array on the device, or itself where there is no room or no need."""
        if self.device.type != "cuda" or images.device == self.device:
            return images
        if self._pair is None or self._pair[0] is not images:
            free, _ = torch.cuda.mem_get_info(self.device)
            fits = 4 * images.nbytes < free
            self._pair = images, images.to(self.device) if fits else images
        return self._pair[1]

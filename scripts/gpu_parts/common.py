"""What several parts need."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

# name, whether it holds, remark, numbers
One = tuple[str, bool | None, str, dict[str, float]]
Found = Iterator[One]


def wait(device: str) -> None:
    """Until the device has done all that it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def milliseconds(work: Callable[[], object], device: str, rounds: int = 5) -> float:
    """Median time of a call, after two that do not count."""
    times = []
    for turn in range(rounds + 2):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        if turn > 1:
            times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[len(times) // 2]


def moved(value: Any, device: str) -> Any:
    """Tensors on a device, wherever they stand."""
    if isinstance(value, Tensor):
        leaf = value.detach().to(device)
        return leaf.requires_grad_() if value.requires_grad else leaf
    if isinstance(value, dict):
        return {key: moved(each, device) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(each, device) for each in value)
    return value


def apart(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The greatest difference, relative to the greatest number of each tensor."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        here, there = one.detach().double().cpu(), other.detach().double().cpu()
        if here.shape != there.shape:
            return float("inf")
        if not here.numel():
            continue
        same = (here == there) | (here.isnan() & there.isnan())
        difference = torch.where(same, torch.zeros_like(here), (here - there).abs())
        size = there[there.isfinite()].abs().max() if there.isfinite().any() else there.new_ones(())
        worst = max(worst, float(difference.nan_to_num(nan=float("inf")).max() / (size + 1e-12)))
    return worst

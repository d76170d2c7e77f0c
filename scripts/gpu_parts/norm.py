"""The synchronised norm, with one rank, against torch's own layer: all layouts and precisions."""

import copy

import torch
from torch import Tensor, nn

from gpu_parts.common import Found, apart

LAYOUTS = {
    "images": lambda x: x,
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3),
    "every other row": lambda x: x[::2],
    "rows": lambda x: x[:, :, 0, 0],
    "sequences": lambda x: x[..., 0],
    "volumes": lambda x: x[..., None].expand(*x.shape, 2),
}
NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
BOUNDS = {torch.float64: 1e-9, torch.float32: 2e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


def one_layer(norm: nn.Module, given: Tensor) -> list[Tensor]:
    """Output, gradients and buffers after two steps."""
    for _ in range(2):
        x = given.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        norm.zero_grad()
        out = norm(x)
        (out.float() * given.detach().float().sin()).sum().backward()
    assert x.grad is not None
    grads = [param.grad for param in norm.parameters() if param.grad is not None]
    return [out, x.grad, *grads, *norm.buffers()]


def check(device: str, quick: bool) -> Found:
    """Every layout in every precision; gradients included."""
    from contsemi.devices.ranks import ALONE
    from contsemi.devices.synced_norm import SyncedBatchNorm

    draw = torch.Generator().manual_seed(0)
    for dtype in [torch.float32] if quick else BOUNDS:
        whole = (torch.randn(32, 24, 6, 7, generator=draw) * 3 + 5).to(device, dtype)
        for name, layout in LAYOUTS.items():
            x = layout(whole)
            plain = NORMS[x.ndim](24).to(device)
            plain = plain.double() if dtype == torch.float64 else plain
            nn.init.normal_(plain.weight)
            ours = SyncedBatchNorm(copy.deepcopy(plain), ALONE)
            found = apart(one_layer(ours, x), one_layer(plain, x))
            kind = str(dtype).removeprefix("torch.")
            yield f"{name}, {kind}", found <= BOUNDS[dtype], "", {"largest difference": found}

"""Whether a network can be trained in bfloat16 on this machine, tried out before a run.

On some processors (seen: an Intel Xeon with AMX) torch's bfloat16 convolutions of small maps give
other gradients each time for the same rows, and NaN now and then; in float32 they do not. What
happens too rarely for a trial a backbone says of itself, by the attribute ``unsteady``.
"""

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from contsemi.config import Config
from contsemi.devices.precision import autocast, channels_last, choose_device, choose_precision
from contsemi.devices.ranks import ALONE, Ranks
from contsemi.models import build_backbone
from contsemi.seeding import generator

_MOST_ROWS = 64  # of one trial, which takes seconds: those of more rows run by the same kernels
_MOST_PIXELS = 1 << 22  # of its images, all together


def settled(config: Config, ranks: Ranks = ALONE) -> tuple[Config, tuple[str, ...]]:
    """The configuration with ``precision=fp32`` where ``auto`` would take a type that goes wrong.

    GPUs are not tried: a type that one has is right there.

    Args:
        config: the run.
        ranks: the processes, all of which call; what one of them finds holds for all.

    Returns:
        The configuration, and what was found, for the user, if anything.
    """
    device = choose_device(config.device, ranks)
    precision = choose_precision(config.precision, device)
    problem = ""
    if config.precision == "auto" and device.type == "cpu" and precision != torch.float32:
        with suppress(Exception):  # of a model that is at fault, said where it is made
            backbone = channels_last(build_backbone(config.model, generator(config.seed, "trial")))
            sides = sorted({policy.size for policy in config.views.policies.values()})
            rows = 2 * config.batch.unlabelled
            problem = getattr(backbone, "unsteady", "") or why_not_reduced(
                backbone, [(rows, side) for side in sides], precision
            )
    if not ranks.agree(bool(problem)):
        return config, ()
    found = problem or "another process found"
    remark = f"precision=auto takes fp32 here: in bfloat16 {found}"
    return config.model_copy(update={"precision": "fp32"}), (remark,)


def why_not_reduced(
    backbone: nn.Module, shapes: Sequence[tuple[int, int]], precision: torch.dtype
) -> str:
    """What a step in a reduced precision does wrong; empty if two of them agree and are finite.

    Args:
        backbone: on the CPU, fresh; it is of no use afterwards.
        shapes: rows and side in pixels of each forward pass of a step.
        precision: of the products.
    """
    first = _gradients(backbone, shapes, precision)
    if not all(bool(grad.isfinite().all()) for grad in first):
        return "a step gives gradients that are not finite"
    again = _gradients(backbone, shapes, precision)
    if all(torch.equal(one, other) for one, other in zip(first, again, strict=True)):
        return ""
    return "the same step gives other gradients each time"


def _gradients(
    backbone: nn.Module, shapes: Sequence[tuple[int, int]], precision: torch.dtype
) -> list[Tensor]:
    """Of a sum over outputs for drawn rows."""
    draw = torch.Generator().manual_seed(0)
    backbone.train().zero_grad()
    for rows, side in shapes:
        rows = max(2, min(rows, _MOST_ROWS, _MOST_PIXELS // side**2))
        images = torch.randn(rows, 3, side, side, generator=draw)
        images = images.to(memory_format=torch.channels_last)
        with autocast(images.device, precision):
            features = backbone(images).float()
        weights = torch.randn(features.shape, generator=draw)
        if features.requires_grad:  # pixels have nothing to learn
            (features * weights).sum().backward()
    return [param.grad for param in backbone.parameters() if param.grad is not None]

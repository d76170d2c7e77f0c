"""Weights drawn from a generator that the caller names, also inside layers of other libraries."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def only_sizes() -> bool:
    """Whether somebody asks for sizes alone, on torch's ``meta`` device: then nothing is drawn."""
    return torch.get_default_device().type == "meta"


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Within the block, layers made on the CPU draw their weights from ``generator``.

    Layers of torch and torchvision know only the global generator: it is seeded from
    ``generator`` for the block and restored after it, so that neither does its state decide the
    weights nor do the weights change its state. Not for use in several threads at once.

    Args:
        generator: on the CPU; advanced by one draw.
    """
    if only_sizes():
        yield
        return
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds GPUs too
        yield

"""Runs networks: over the views of one step, and over un-augmented images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.devices.gathering import block, gather_even
from contsemi.devices.precision import autocast
from contsemi.devices.ranks import ALONE, Ranks
from contsemi.models.network import Network
from contsemi.types import Forward, Outputs
from contsemi.views import Augment

__all__ = ["Joined", "embed", "join", "run_groups"]


@dataclass(frozen=True, slots=True)
class Joined:
    """Groups of views, those of one side in one tensor: they share batch statistics.

    Attributes:
        sizes: rows of each group; ``None`` for one that the step lacks.
        sides: for each side the numbers of its groups, and float [n, 3, s, s].
    """

    sizes: tuple[int | None, ...]
    sides: tuple[tuple[tuple[int, ...], Tensor], ...]


def join(groups: Sequence[Tensor | None]) -> Joined:
    """Puts groups of the same side together, once for all networks that see them.

    Args:
        groups: float [n_i, 3, s_i, s_i] views; ``None`` for a group that the step lacks.
    """
    members: dict[int, list[tuple[int, Tensor]]] = {}
    for i, group in enumerate(groups):
        if group is not None:
            members.setdefault(group.shape[-1], []).append((i, group))
    sides = []
    for found in members.values():
        numbers, parts = zip(*found, strict=True)
        sides.append((numbers, parts[0] if len(parts) == 1 else _together(parts)))
    sizes = (None if group is None else len(group) for group in groups)
    return Joined(tuple(sizes), tuple(sides))


def _together(parts: Sequence[Tensor]) -> Tensor:
    """All rows in one tensor, without a copy where they follow each other in memory already."""
    first = parts[0]
    expected, storage = first.storage_offset(), first.untyped_storage().data_ptr()
    for part in parts:
        own = part.untyped_storage().data_ptr(), part.storage_offset(), part.stride()
        if own != (storage, expected, first.stride()):
            return torch.cat(list(parts))
        expected += part.numel()
    rows = sum(map(len, parts))
    return first.as_strided((rows, *first.shape[1:]), first.stride(), first.storage_offset())


def run_groups(network: Forward, groups: Joined, heads: Sequence[str]) -> list[Outputs | None]:
    """One forward for all groups of the same side.

    Args:
        network: the network in the mode it is to run in, or what runs it.
        groups: of :func:`join`.
        heads: heads to evaluate.

    Returns:
        The outputs of each group in float32, ``None`` where there is no group.
    """
    outputs: list[Outputs | None] = [None] * len(groups.sizes)
    for numbers, images in groups.sides:
        together = network(images, heads).float()
        start = 0
        for i in numbers:
            size = groups.sizes[i] or 0
            alone = len(numbers) == 1
            outputs[i] = together if alone else together.rows(slice(start, start + size))
            start += size
    return outputs


@torch.no_grad()
def embed(
    network: Network,
    images: Tensor,
    heads: Sequence[str],
    *,
    augment: Augment,
    chunk: int,
    device: torch.device,
    precision: torch.dtype,
    ranks: Ranks = ALONE,
) -> Outputs:
    """Outputs of un-augmented images in evaluation mode; running statistics are not touched.

    Args:
        network: the network; its mode is the same afterwards.
        images: uint8 [N, 3, S, S], on any device.
        heads: heads to evaluate.
        augment: makes the test view.
        chunk: images of one forward pass.
        device: where the network is.
        precision: of the products.
        ranks: the processes, all of which ask for the same: each runs over a part of the images.
    """
    was_training = network.training
    network.eval()
    parts = []
    for rows in torch.split(images[block(ranks, len(images))], chunk):
        with autocast(device, precision):
            parts.append(network(augment.test(rows.to(device)), heads).float())
    network.train(was_training)
    own = Outputs(
        torch.cat([part.features for part in parts]),
        {name: torch.cat([part[name] for part in parts]) for name in parts[0].heads},
    )
    return gather_even(ranks, own, len(images))

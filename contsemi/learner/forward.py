"""Runs networks: over the views of one step, and over un-augmented images."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from contsemi.devices.gathering import gather_even
from contsemi.devices.precision import autocast
from contsemi.devices.ranks import ALONE, Ranks
from contsemi.devices.room import with_room
from contsemi.errors import OutOfDeviceMemory
from contsemi.learner.known_features import KnownFeatures
from contsemi.models.network import Network
from contsemi.search.shards import own_part
from contsemi.stores.choosing import plain
from contsemi.stores.store import Images
from contsemi.types import Forward, Outputs
from contsemi.views import Augment

BATCH = 64  # images of one pass of a network whose features are kept
KEPT_CHUNK = 2048  # of which they are asked for, and written, at once


@dataclass(frozen=True, slots=True)
class BySide:
    """Groups of views, those of one side in one tensor: they share batch statistics.

    Attributes:
        sizes: rows of each group.
        sides: for each side the numbers of its groups, and float [n, 3, s, s].
    """

    sizes: tuple[int, ...]
    sides: tuple[tuple[tuple[int, ...], Tensor], ...]


def by_side(groups: Sequence[Tensor]) -> BySide:
    """Puts groups of the same side together, once for all networks that see them.

    Args:
        groups: float [n_i, 3, s_i, s_i] views.
    """
    members: dict[int, list[tuple[int, Tensor]]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group.shape[-1], []).append((i, group))
    sides = []
    for found in members.values():
        numbers, parts = zip(*found, strict=True)
        sides.append((numbers, parts[0] if len(parts) == 1 else _in_one_tensor(parts)))
    return BySide(tuple(map(len, groups)), tuple(sides))


def _in_one_tensor(parts: Sequence[Tensor]) -> Tensor:
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


def run_groups(network: Forward, groups: BySide, heads: Sequence[str]) -> list[Outputs]:
    """One forward for all groups of the same side.

    Args:
        network: the network in the mode it is to run in, or what runs it.
        groups: of :func:`by_side`.
        heads: heads to evaluate.

    Returns:
        The outputs of each group in float32.
    """
    outputs: dict[int, Outputs] = {}
    for numbers, images in groups.sides:
        together = network(images, heads).float()
        start = 0
        for i in numbers:
            size = groups.sizes[i]
            alone = len(numbers) == 1
            outputs[i] = together if alone else together.rows(slice(start, start + size))
            start += size
    return [outputs[i] for i in range(len(outputs))]


@dataclass(frozen=True, slots=True)
class Embedder:
    """Outputs of un-augmented images in evaluation mode; running statistics are not touched.

    Attributes:
        augment: makes the test view.
        chunk: images of one forward pass.
        device: where the networks are.
        precision: of the products.
        ranks: the processes, all of which ask for the same: each runs over a part of the images.
        known: features of the backbone, where that is never trained.
    """

    augment: Augment
    chunk: int
    device: torch.device
    precision: torch.dtype
    ranks: Ranks = ALONE
    known: KnownFeatures | None = None

    @torch.no_grad()
    def __call__(
        self,
        network: Network,
        images: Images,
        heads: Sequence[str],
        ids: Tensor | None = None,
    ) -> Outputs:
        """What a network says of images; its mode is the same afterwards.

        Args:
            network: the network.
            images: uint8 [N, 3, S, S], on any device, or a store.
            heads: heads to evaluate.
            ids: int64 [n], which of the images, read chunk by chunk; ``None`` for all.
        """
        was_training = network.training
        network.eval()
        store = plain(images, self.device)
        ids = torch.arange(len(store)) if ids is None else ids
        count, parts = len(ids), []
        step = self.chunk if self.known is None else max(self.chunk, KEPT_CHUNK)
        chunks = torch.split(ids[own_part(count, self.ranks)], step)
        for rows, following in itertools.zip_longest(chunks, chunks[1:]):
            chunk = store.take(rows)
            if following is not None:
                store.expect(following)
            parts += self._by_parts(network, chunk, heads)
        network.train(was_training)
        outputs = Outputs(
            torch.cat([part.features for part in parts]),
            {name: torch.cat([part[name] for part in parts]) for name in parts[0].heads},
        )
        return gather_even(self.ranks, outputs, count)

    def _by_parts(self, network: Network, images: Tensor, heads: Sequence[str]) -> list[Outputs]:
        """Outputs of a chunk, in halves of it where the device has no room for the whole."""
        try:
            what = f"the features of {len(images)} images"
            fix = "take a device with more memory, or smaller images"
            return [with_room(lambda: self._run(network, images, heads), what, fix)]
        except OutOfDeviceMemory:
            if len(images) <= 1:
                raise
        halves = torch.split(images, -(-len(images) // 2))
        return [part for half in halves for part in self._by_parts(network, half, heads)]

    def _run(self, network: Network, chunk: Tensor, heads: Sequence[str]) -> Outputs:
        if self.known is not None:
            found = self.known.of(chunk, partial(self._always_alike, network))
            with autocast(self.device, self.precision):
                return network.outputs(found.to(self.device), heads=heads).float()
        return self._see(network, chunk, heads)

    def _see(self, network: Network, chunk: Tensor, heads: Sequence[str]) -> Outputs:
        with autocast(self.device, self.precision):
            outputs: Outputs = network(self.augment.test(chunk.to(self.device)), heads)
            return outputs.float()

    def _always_alike(self, network: Network, images: Tensor) -> Tensor:
        """Features [n, F] that are the same to the bit whatever other images they come with.

        Products of other sizes are added up in another order, so all batches are of one size.
        """
        parts = []
        for rows in torch.split(images, BATCH):
            filled = torch.cat([rows, rows[:1].expand(BATCH - len(rows), -1, -1, -1)])
            parts.append(self._see(network, filled, ()).features[: len(rows)])
        return torch.cat(parts)

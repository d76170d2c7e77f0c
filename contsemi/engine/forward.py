"""Runs networks: over the views of one step, and over un-augmented images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from contsemi.engine.distributed import ALONE, Ranks
from contsemi.engine.gathering import block, gather_even
from contsemi.engine.precision import autocast
from contsemi.models.network import Network
from contsemi.types import Outputs
from contsemi.views import Augment

__all__ = ["embed", "run_groups"]


def run_groups(
    network: Callable[[Tensor, Sequence[str]], Outputs],
    groups: Sequence[Tensor | None],
    heads: Sequence[str],
) -> list[Outputs | None]:
    """One forward for all groups of the same side, so that they share batch statistics.

    Args:
        network: the network, in the mode it is to run in.
        groups: float [n_i, 3, s_i, s_i] views; ``None`` for a group that the step lacks.
        heads: heads to evaluate.

    Returns:
        The outputs of each group in float32, ``None`` where the group is ``None``.
    """
    outputs: list[Outputs | None] = [None] * len(groups)
    sides = dict.fromkeys(group.shape[-1] for group in groups if group is not None)
    for side in sides:
        members = [
            (i, group)
            for i, group in enumerate(groups)
            if group is not None and group.shape[-1] == side
        ]
        images = members[0][1] if len(members) == 1 else torch.cat([g for _, g in members])
        together = network(images, heads).float()
        if len(members) == 1:
            outputs[members[0][0]] = together
            continue
        start = 0
        for i, group in members:
            outputs[i] = together.rows(slice(start, start + len(group)))
            start += len(group)
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

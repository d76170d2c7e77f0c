"""All images of a step, with and without labels, side by side in each of their views."""

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.losses.numerics import wide
from contsemi.types import Step, View


def equal_views(
    large_views: int, labelled_views: int, *, seen_by: tuple[str, ...]
) -> dict[str, View]:
    """The views that :func:`by_view` reads.

    Args:
        large_views: V, of each unlabelled image; 0 for none of these.
        labelled_views: V or 0, of each labelled image.
        seen_by: the networks.

    Raises:
        InputError: both kinds of images are asked for, with different numbers of views.
    """
    if large_views and labelled_views not in (0, large_views):
        raise InputError(
            "objective.labelled_views",
            f"expected {large_views} or 0, as many as of the other images, got {labelled_views}",
            f"use {large_views}",
        )
    numbers = {"large": ("unlabelled", large_views), "labelled": ("labelled", labelled_views)}
    return {
        name: View(rows=rows, policy=name, number=number, seen_by=seen_by)
        for name, (rows, number) in numbers.items()
        if number
    }


def by_view(step: Step, network: str, head: str) -> Tensor | None:
    """What a head says of the V views of all N images, the unlabelled ones first.

    Args:
        step: with the views of :func:`equal_views`.
        network: ``student`` or ``teacher``.
        head: the head.

    Returns:
        [V, N, D] in float32 or float64; ``None`` if there is no image.
    """
    parts = []
    for name, number in (("large", step.batch_size), ("labelled", len(step.labels))):
        seen = getattr(step, network)(name)
        if seen is not None:
            parts.append(wide(seen[head]).view(-1, number, seen[head].shape[1]))
    return torch.cat(parts, dim=1) if parts else None


def labels_of_all(step: Step) -> Tensor:
    """The columns int64 [N] of the images of :func:`by_view`; -1 for unlabelled ones."""
    return torch.cat([torch.full_like(step.unlabelled_ids, -1), step.labels])

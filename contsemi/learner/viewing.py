"""The augmented views of one step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.devices.ranks import Ranks
from contsemi.seeding import generator
from contsemi.types import Batch, Needs
from contsemi.views import Augment
from contsemi.views.mix import mix

__all__ = ["Viewed", "make_views"]


@dataclass(frozen=True, slots=True)
class Viewed:
    """Views float32 [V * n, 3, s, s], view-major; ``None`` where the needs ask for none.

    Attributes:
        labelled, large, small: views of the labelled and unlabelled rows.
        mixed_labelled: the first labelled view, each image mixed with its partner.
        mixed_large: the first large view mixed with the partner's second one.
        labelled_share, large_share: of the image itself in the mixed ones.
    """

    labelled: Tensor | None
    large: Tensor | None
    small: Tensor | None
    mixed_labelled: Tensor | None
    mixed_large: Tensor | None
    labelled_share: float
    large_share: float


def make_views(
    batch: Batch,
    needs: Needs,
    augment: Augment,
    *,
    seed: tuple[int, int, int],
    ranks: Ranks,
    near: Tensor | None = None,
) -> Viewed:
    """Draws all views that the needs ask for: the same of an image, whatever process has it.

    Args:
        batch: images of one step, on the device.
        needs: which views of which rows.
        augment: the policy.
        seed: the run's seed, the task and the step in it, which fix every draw.
        ranks: the processes that share the batch.
        near: uint8 [m * B, 3, S, S], this process's images to take the small views of; ``None`` for
            those of the batch.
    """
    run, task, step = seed
    draw = generator(run, "views", task, step, device=batch.unlabelled.device)
    labelled = large = small = mixed_labelled = mixed_large = None
    labelled_share = large_share = 1.0
    labelled_part = _part(ranks, len(batch.labels))
    part = _part(ranks, len(batch.unlabelled_ids))
    views = needs.labelled_views if len(batch.labels) else 0
    if views and needs.large_views:
        labelled, large = augment.labelled_and_large(
            (batch.labelled, views, labelled_part),
            (batch.unlabelled, needs.large_views, part),
            draw,
        )
    elif views:
        labelled = augment.labelled(batch.labelled, views, draw, labelled_part)
    elif needs.large_views:
        large = augment.large(batch.unlabelled, needs.large_views, draw, part)
    if needs.small_views:
        if near is None:
            small = augment.small(batch.unlabelled, needs.small_views, draw, part)
        else:
            blocks = _part(ranks, len(batch.unlabelled_ids), needs.small_views)
            small = augment.small(near, 1, draw, blocks)
    coin = generator(run, "mix", task, step) if needs.mix_labelled or needs.mix_large else None
    if coin is not None and needs.mix_labelled and labelled is not None:
        first = labelled[: len(batch.labelled)]
        mixed_labelled, labelled_share = mix(first, first, coin)
    if coin is not None and needs.mix_large and large is not None and needs.large_views > 1:
        rows = len(batch.unlabelled)
        first, second = large[:rows], large[rows : 2 * rows]
        mixed_large, large_share = mix(first, second, coin)
    return Viewed(labelled, large, small, mixed_labelled, mixed_large, labelled_share, large_share)


def _part(ranks: Ranks, count: int, blocks: int = 1) -> tuple[int, Tensor] | None:
    """Which rows of how many this process has, in each block of ``count``; ``None`` for all."""
    if ranks.alone:
        return None
    places = torch.arange(blocks)[:, None] * count + ranks.share(count)
    return blocks * count, places.flatten()

"""The augmented views of one step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from contsemi.devices.gathering import Blocks, gather_rows, own_positions
from contsemi.devices.ranks import Ranks
from contsemi.learner.forward import BySide, by_side
from contsemi.seeding import generator
from contsemi.types import Batch, Mix, View
from contsemi.views import Augment
from contsemi.views.augment import Asked
from contsemi.views.mix import mix


@dataclass(frozen=True, slots=True)
class Blend:
    """How the rows of a mixed view were mixed.

    Attributes:
        share: of the row itself.
        partners: int64 [N], of the whole batch: the row of the pile that each is mixed with.
    """

    share: float
    partners: Tensor


@dataclass(frozen=True, slots=True)
class Viewed:
    """The views of one step, those that it lacks left out.

    Attributes:
        images: name -> float32 [V * n, 3, s, s], view-major, of this process's rows.
        blocks: name -> what it is made of in the whole batch.
        blends: name of a mixed view -> how.
    """

    images: Mapping[str, Tensor]
    blocks: Mapping[str, Blocks]
    blends: Mapping[str, Blend]
    _by_side: dict[tuple[str, ...], BySide] = field(default_factory=dict, init=False)

    def by_side(self, names: Sequence[str]) -> BySide:
        """Some views, those of one side together: once for all networks that see them."""
        key = tuple(names)
        if key not in self._by_side:
            self._by_side[key] = by_side([self.images[name] for name in key])
        return self._by_side[key]


def make_views(
    batch: Batch,
    views: Mapping[str, View],
    augment: Augment,
    *,
    seed: tuple[int, int, int],
    ranks: Ranks,
    others: Mapping[str, Tensor] | None = None,
) -> Viewed:
    """Draws all views that are asked for: the same of an image, whatever process has it.

    Args:
        batch: images of one step, on the device.
        views: which views of which rows, in the order in which they are drawn.
        augment: the policies.
        seed: the run's seed, the task and the step in it, which fix every draw.
        ranks: the processes that share the batch.
        others: name of a view -> uint8 [V * B, 3, S, S], this process's images to take it of, in
            place of those of the batch.
    """
    run, task, step = seed
    draw = generator(run, "views", task, step, device=batch.places.device)
    asked: dict[str, Asked] = {}
    blocks: dict[str, Blocks] = {}
    for name, view in views.items():
        count = batch.count(view.rows) if view.mix is None else 0
        if not count:
            continue
        own = {**(others or {}), **batch.cut}.get(name)
        if view.swapped and own is None:
            continue  # the task has one image
        blocks[name] = ((count, view.number),)
        if own is not None:
            part = _part(ranks, count, view.number)
            asked[name] = Asked(view.policy, own, 1, part, cut=name in batch.cut)
        else:
            images, part = batch.images[view.rows], _part(ranks, count)
            asked[name] = Asked(view.policy, images, view.number, part)
    made = dict(zip(asked, augment.views(list(asked.values()), draw), strict=True))
    blends: dict[str, Blend] = {}
    mixes = {name: view.mix for name, view in views.items() if view.mix is not None}
    coin = generator(run, "mix", task, step) if mixes else None
    for name, how in mixes.items():
        if coin is not None and (found := _mixed(how, made, blocks, coin, ranks)) is not None:
            made[name], blocks[name], blends[name] = found
    return Viewed(made, blocks, blends)


def _mixed(
    how: Mix,
    made: Mapping[str, Tensor],
    blocks: Mapping[str, Blocks],
    coin: torch.Generator,
    ranks: Ranks,
) -> tuple[Tensor, Blocks, Blend] | None:
    """This process's mixed rows, what they are made of, and how; ``None`` if it cannot be."""
    names = [name for name in how.of if name in made]
    parts: list[Tensor] = []
    of: list[tuple[int, int]] = []
    for name in names:
        for count, number in blocks[name]:
            views = number if how.views is None else how.views
            if views > number:
                return None
            parts.append(made[name][: len(made[name]) // number * views])
            of.append((count, views))
    if not parts:
        return None
    pile = parts[0] if len(parts) == 1 else torch.cat(parts)
    total = sum(count * views for count, views in of)
    kept, rows = tuple(of), pile
    if how.kept is not None:
        kept = ((of[0][0], how.kept),)
        rows = pile[: len(parts[0]) // of[0][1] * how.kept]
    number = sum(count * views for count, views in kept)
    if how.partners == "shuffled":
        known = torch.randperm(total, generator=coin)[:number]
        partners = known.to(pile.device, non_blocking=True)
    else:
        known = _reversed(total, number, torch.device("cpu"))
        partners = _reversed(total, number, pile.device)
    here = how.partners == "reversed" and len(of) == 1  # partners are with the same process
    if ranks.alone:
        others = pile.index_select(0, partners)
    else:
        others = _others(pile, known, tuple(of), kept, ranks, here=here)
    mixed, share = mix(
        rows, others, coin, cut=how.cut, alpha=how.alpha, larger_first=how.larger_first
    )
    return mixed, kept, Blend(share, partners)


def _others(
    pile: Tensor, partners: Tensor, of: Blocks, kept: Blocks, ranks: Ranks, *, here: bool
) -> Tensor:
    """The partners' rows of this process's rows, which may all be here already.

    Args:
        pile: the rows that are mixed.
        partners: int64 [N], of the whole batch, on the CPU: to ask the device would be to wait.
        of: what the pile is made of.
        kept: what is mixed, likewise.
        ranks: several processes.
        here: whether all partners are with this process.
    """
    place = partners[own_positions(ranks, kept)]
    if here:
        place = torch.searchsorted(own_positions(ranks, of), place)  # ascending: one kind of views
    else:
        pile = gather_rows(ranks, pile, of)
    return pile.index_select(0, place.to(pile.device, non_blocking=True))


@lru_cache(maxsize=16)
def _reversed(total: int, number: int, device: torch.device) -> Tensor:
    """Row i has the partner total - 1 - i; kept, as the batches of a task have the same sizes."""
    return torch.arange(total - 1, total - 1 - number, -1, device=device)


def _part(ranks: Ranks, count: int, blocks: int = 1) -> tuple[int, Tensor] | None:
    """Which rows of how many this process has, in each block of ``count``; ``None`` for all."""
    if ranks.alone:
        return None
    places = torch.arange(blocks)[:, None] * count + ranks.share(count)
    return blocks * count, places.flatten()

"""The outputs of all ranks, in the order of one process, with the gradient of the own rows."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.devices.ranks import Ranks, share_of_rank
from contsemi.types import Outputs

# rows of one view of the whole batch, and views, of each of the kinds that follow each other
Blocks = tuple[tuple[int, int], ...]


def gather_outputs(
    ranks: Ranks, groups: Sequence[Outputs], sizes: Sequence[Blocks]
) -> list[Outputs]:
    """Outputs of the whole batch from those of each rank's share, by one collective operation.

    The gradient of a gathered row goes to the rank that made it. All ranks have the same loss, so
    nothing has to be exchanged backwards. A head that the loss does not use gets no gradient at
    all, as without gathering. Features, the widest of all, are gathered when they are first read:
    most terms read none. All ranks compute the same terms, and so read them at the same time.

    Args:
        ranks: the processes.
        groups: this rank's rows of each group, view-major.
        sizes: what each group is made of in the whole batch.
    """
    if ranks.alone or not groups:
        return list(groups)
    heads = list(groups[0].heads)
    layout = _Layout.of(ranks.rank, ranks.size, tuple(itertools.chain(*sizes)))

    def everyones(columns: list[Tensor]) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = _Gather.apply(ranks, layout, *columns)
        return found

    columns = [torch.cat([each[head].flatten(1) for each in groups]) for head in heads]
    found = everyones(columns) if heads else ()
    features = _Once(lambda: everyones([torch.cat([each.features for each in groups])])[0])
    complete: list[Outputs] = []
    start = 0
    for group, blocks in zip(groups, sizes, strict=True):
        rows = slice(start, start + sum(count * views for count, views in blocks))
        start = rows.stop
        values = {
            head: value[rows].view(-1, *group[head].shape[1:])
            for head, value in zip(heads, found, strict=True)
        }
        complete.append(_LateFeatures(features, rows, values, group.directions))
    return complete


class _Once:
    """A tensor that is made when it is first asked for."""

    def __init__(self, make: Callable[[], Tensor]) -> None:
        self._make: Callable[[], Tensor] | None = make
        self._made: Tensor | None = None

    def __call__(self) -> Tensor:
        if self._made is None:
            assert self._make is not None
            self._made, self._make = self._make(), None
        return self._made


class _LateFeatures(Outputs):
    """Outputs whose features are gathered when they are first read."""

    __slots__ = ("_all", "_rows")

    _all: _Once
    _rows: slice

    def __init__(
        self,
        features: _Once,
        rows: slice,
        heads: Mapping[str, Tensor],
        directions: Mapping[str, Tensor],
    ) -> None:
        values = {"heads": heads, "directions": directions, "_all": features, "_rows": rows}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def features(self) -> Tensor:
        """[N, F] output of the backbone."""
        return self._all()[self._rows]

    def __len__(self) -> int:
        return int(self._rows.stop - self._rows.start)

    def rows(self, index: slice | Tensor) -> Outputs:
        """The chosen rows of everything; the directions stay whole."""
        if not isinstance(index, slice):
            return super().rows(index)
        chosen = range(self._rows.start, self._rows.stop)[index]
        if chosen.step != 1:
            return super().rows(index)
        heads = {name: value[index] for name, value in self.heads.items()}
        rows = slice(chosen.start, max(chosen.start, chosen.stop))
        return _LateFeatures(self._all, rows, heads, self.directions)


def gather_rows(ranks: Ranks, own: Tensor, blocks: Blocks) -> Tensor:
    """Rows [N, ...] of the whole batch from those [n, ...] that each rank has; no gradient."""
    if ranks.alone:
        return own
    layout = _Layout.of(ranks.rank, ranks.size, blocks)
    everyone = ranks.gather(_padded(own.flatten(1), layout.longest))
    whole = everyone.index_select(0, layout.on(everyone.device)[0])
    return whole.view(-1, *own.shape[1:])


def own_positions(ranks: Ranks, blocks: Blocks) -> Tensor:
    """Places int64 [n] of this rank's rows in the whole batch, in its own order."""
    return _Layout.of(ranks.rank, ranks.size, blocks).own


def gather_even(ranks: Ranks, own: Outputs, count: int) -> Outputs:
    """Outputs of ``count`` rows of which each rank has made a block, in order; no gradient.

    Args:
        ranks: the processes.
        own: of this rank's block; see :func:`~contsemi.search.shards.own_part`.
        count: rows of all blocks.
    """
    if ranks.alone:
        return own
    columns = [own.features, *(value.flatten(1) for value in own.heads.values())]
    widths = [column.shape[1] for column in columns]
    matrix = _padded(torch.cat(columns, dim=1), -(-count // ranks.size))
    whole = torch.split(ranks.gather(matrix)[:count], widths, dim=1)
    features, *found = (column.contiguous() for column in whole)
    values = {
        head: value.view(-1, *own[head].shape[1:])
        for head, value in zip(own.heads, found, strict=True)
    }
    return Outputs(features, values, own.directions)


class _Layout:
    """Where each rank's rows stand in the whole batch.

    Attributes:
        own: int64 [n], positions of this rank's rows in the whole batch of all groups.
        order: int64 [N], position of each row of the whole batch among the gathered ones, of which
            every rank has ``longest``.
    """

    def __init__(self, rank: int, size: int, sizes: Blocks) -> None:
        shares = [_positions(each, size, sizes) for each in range(size)]
        self.longest = max(map(len, shares))
        self.own = shares[rank]
        self.order = torch.empty(sum(map(len, shares)), dtype=torch.int64)
        for each, share in enumerate(shares):
            self.order[share] = each * self.longest + torch.arange(len(share))
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """``order`` and ``own`` on a device, brought there once: each time the host would wait."""
        if device not in self._on:
            self._on[device] = self.order.to(device), self.own.to(device)
        return self._on[device]

    @staticmethod
    @lru_cache(maxsize=64)
    def of(rank: int, size: int, sizes: Blocks) -> "_Layout":
        """The layout, made once: batches of a task have the same sizes."""
        return _Layout(rank, size, sizes)


def _positions(rank: int, size: int, sizes: Blocks) -> Tensor:
    """Places in the whole batch of a rank's rows, in the order in which it has them."""
    found, start = [], 0
    for count, views in sizes:
        share = share_of_rank(count, rank, size)
        found.append((start + torch.arange(views)[:, None] * count + share).flatten())
        start += count * views
    return torch.cat(found)


class _Gather(torch.autograd.Function):
    """Matrices [n, W_i] of this rank's rows -> matrices [N, W_i] of all rows."""

    @staticmethod
    def forward(ctx: Any, ranks: Ranks, layout: _Layout, *own: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.layout = layout
        widths = [each.shape[1] for each in own]
        everyone = ranks.gather(_padded(torch.cat(own, dim=1), layout.longest))
        whole = everyone.index_select(0, layout.on(everyone.device)[0])
        return tuple(each.contiguous() for each in torch.split(whole, widths, dim=1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        layout = ctx.layout
        return (
            None,
            None,
            *(None if g is None else g.index_select(0, layout.on(g.device)[1]) for g in grads),
        )


def _padded(matrix: Tensor, rows: int) -> Tensor:
    return functional.pad(matrix, (0, 0, 0, rows - len(matrix)))

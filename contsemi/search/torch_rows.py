"""Exact search by matrix product on the rows' own device.

On a CPU that multiplies bfloat16 fast, a product in bfloat16 proposes candidates and float32
decides. A bound on the rounding error says how many are needed so that none can be missing, so the
answer is that of float32.
"""

from typing import Protocol

import torch
from torch import Tensor

from contsemi.search.top_products import (
    BYTES,
    QUERIES,
    Margin,
    best_of,
    candidates,
    plain_top,
)

_SCORES_GPU = 1 << 26  # at a time
_GATHERED = 1 << 19  # numbers of candidates' rows at a time, so that they stay in the cache
_GROUPED_FROM, _GROUPED_PER_K = 2000, 16  # rows from which a threshold pays
_SCREENED_FROM, _SCREENED_PER_K = 2000, 100  # rows from which a product in bfloat16 pays
_ROUNDING = 2.0**-8  # largest relative error of a number in bfloat16
_ADDING = 2.0**-23  # of a term in a float32 sum, twice


class Table(Protocol):
    """Rows that are made piece by piece when they are asked for; a tensor is one, too."""

    @property
    def device(self) -> torch.device:
        """Where they are."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Tensor:
        """Some of them, float [n, D]."""
        ...


class TorchRows:
    """Rows in a tensor, searched exactly.

    On a GPU they are searched where they lie, in float32 piece by piece; on a CPU there is a copy.

    Args:
        rows: float [M, D]; not written to afterwards.
    """

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows.detach().float() if rows.device.type == "cpu" else rows.detach()
        self._half: Tensor | None = None  # made by the first search that needs it
        self._slack = self._longest = 0.0

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows and of their copy in bfloat16, if there is one."""
        return self._rows.nbytes + (0 if self._half is None else self._half.nbytes)

    @torch.no_grad()
    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k rows of greatest inner product."""
        queries = queries.to(torch.promote_types(self._rows.dtype, torch.float32))
        half = self._halved(queries) if self._screened(k) else None
        return in_pieces(queries, self._rows, k, half)

    def _screened(self, k: int) -> bool:
        """Whether bfloat16 proposes."""
        rows = self._rows
        if len(rows) < max(_SCREENED_FROM, _SCREENED_PER_K * k) or rows.dtype != torch.float32:
            return False
        return rows.device.type == "cpu" and _multiplies_bfloat16()

    def _halved(self, queries: Tensor) -> "_Half":
        """Queries and rows in bfloat16, and by how much their products may be wrong."""
        if self._half is None:
            self._half = self._rows.bfloat16()
            lost = torch.linalg.vector_norm(self._rows - self._half, dim=1)
            self._slack = lost.max().item()
            self._longest = torch.linalg.vector_norm(self._rows, dim=1).max().item()
        half = queries.bfloat16()
        # |q.x - q'.x'| <= |q - q'| |x| + |q'| |x - x'|, and the sum and its result are rounded.
        lengths = half.float().norm(dim=1)
        error = (queries - half.float()).norm(dim=1) * self._longest + lengths * self._slack
        error += _ADDING * queries.shape[1] * lengths * (self._longest + self._slack)
        return half, self._half, Margin(error, _ROUNDING)


_Half = tuple[Tensor, Tensor, Margin]


def in_pieces(
    queries: Tensor, rows: Tensor | Table, k: int, half: _Half | None = None
) -> tuple[Tensor, Tensor]:
    """The best of all rows, from pieces of them whose scores the memory can hold.

    Args:
        queries: float [B, D], of the rows' precision on a CPU.
        rows: [M, D].
        k: neighbours, at most M.
        half: queries and rows in bfloat16 that propose candidates; ``None`` for none.

    Returns:
        scores [B, k] in descending order, and int64 places [B, k].
    """
    each = max(1, len(queries))  # numbers that are made for a row: its scores, or the row itself
    if not isinstance(rows, Tensor) or rows.dtype != queries.dtype:
        each = max(each, queries.shape[1])
    if rows.device.type == "cpu":
        most = BYTES // ((4 if half is None else 2) * min(QUERIES, each))
    else:
        most = _SCORES_GPU // each
    piece = max(k, 1, most)
    best: tuple[Tensor, Tensor] | None = None
    for start in range(0, max(len(rows), 1), piece):
        part = slice(start, start + piece)
        own = None if half is None else (half[0], half[1][part], half[2])
        values, places = _search(queries, rows[part], own, min(k, len(rows[part])))
        places = places + start
        if best is not None:
            values, order = torch.cat([best[0], values], 1).topk(k, dim=1)
            places = torch.cat([best[1], places], 1).gather(1, order)
        best = values, places
    assert best is not None
    return best


def _search(queries: Tensor, rows: Tensor, half: _Half | None, k: int) -> tuple[Tensor, Tensor]:
    """The best of one piece of the rows."""
    few = len(rows) < max(_GROUPED_FROM, _GROUPED_PER_K * k)
    if few or rows.device.type != "cpu" or not k or not len(queries):
        return plain_top(queries, rows.to(queries.dtype), k)
    if half is None:
        found = candidates(queries, rows, k)
        scores = found.score
    else:
        found = candidates(half[0], half[1], k, half[2])
        scores = _products(queries, rows, found.query, found.place)
    values, places = best_of(found, scores, k)
    heavy = found.heavy.nonzero().flatten()
    for some in torch.split(heavy, QUERIES):
        values[some], places[some] = plain_top(queries[some], rows, k)
    return values, places


def _products(queries: Tensor, rows: Tensor, query: Tensor, place: Tensor) -> Tensor:
    """Inner products [n] of pairs of a query and a row, both int64 [n]."""
    size = _GATHERED // queries.shape[1]
    parts = [
        torch.linalg.vecdot(queries.index_select(0, asked), rows.index_select(0, own))
        for asked, own in zip(torch.split(query, size), torch.split(place, size), strict=True)
    ]
    return torch.cat(parts) if parts else queries.new_empty(0)


def _multiplies_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()

"""Exact search by matrix product on the rows' own device.

On a CPU that multiplies bfloat16 fast, a product in bfloat16 proposes candidates and float32
decides. A bound on the rounding error says how many are needed so that none can be missing, so the
answer is that of float32. The copy in bfloat16 follows when it is searched, not when rows change:
then replacing rows costs no more than writing them.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from contsemi.search.column import Column
from contsemi.search.top_products import (
    BYTES,
    QUERIES,
    Margin,
    best_of,
    candidates,
    plain_top,
)

__all__ = ["TorchRows"]

_SCORES_GPU = 1 << 26  # at a time
_GATHERED = 1 << 19  # numbers of candidates' rows at a time, so that they stay in the cache
_GROUPED_FROM, _GROUPED_PER_K = 2000, 16  # rows from which a threshold pays
_SCREENED_FROM, _SCREENED_PER_K = 2000, 100  # rows from which a product in bfloat16 pays
_ROUNDING = 2.0**-8  # largest relative error of a number in bfloat16
_ADDING = 2.0**-23  # of a term in a float32 sum, twice


class TorchRows:
    """Rows in a tensor, searched exactly.

    Args:
        rows: float [M, D].
    """

    forgets = False

    def __init__(self, rows: Tensor) -> None:
        self._rows = Column(rows)
        self._half = Column(rows[:0].bfloat16())  # a copy of the first rows, ...
        self._stale = torch.empty(0, dtype=torch.int64)  # ... but for what was written here since
        self._slack = self._longest = 0.0

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows and of their copy in bfloat16, if there is one."""
        return self._rows.resident_bytes() + self._half.resident_bytes()

    def append(self, rows: Tensor) -> None:
        """Takes rows [n, D] in at the end."""
        self._rows.append(rows)

    def write(self, places: Tensor, rows: Tensor) -> None:
        """Overwrites the rows at int64 [n] places."""
        self._rows.write(places, rows)
        if len(self._half):
            self._stale = torch.cat([self._stale, places])
            if len(self._stale) > len(self._half):  # so that the list of places stays short
                self._follow()

    def drop(self, places: Tensor) -> None:
        """Nothing: a row that is gone is never allowed."""

    @torch.no_grad()
    def search(self, queries: Tensor, k: int, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
        """The k allowed rows of greatest inner product; -inf and -1 where there are fewer."""
        rows = self._rows.rows
        queries = queries.to(rows.dtype)
        if allowed is not None and rows.device.type == "cpu" and 2 * allowed.sum() < len(rows):
            own = allowed.nonzero().flatten()
            values, found = _in_pieces(queries, rows[own], None, min(k, len(own)), None)
            missing = (0, k - found.shape[1])
            return pad(values, missing, value=-torch.inf), pad(own[found], missing, value=-1)
        half = self._halved(queries) if self._screened(k) else None
        return _in_pieces(queries, rows, half, k, allowed)

    def _screened(self, k: int) -> bool:
        """Whether bfloat16 proposes."""
        rows = self._rows.rows
        if len(rows) < max(_SCREENED_FROM, _SCREENED_PER_K * k) or rows.dtype != torch.float32:
            return False
        return rows.device.type == "cpu" and _multiplies_bfloat16()

    def _follow(self) -> None:
        """The copy in bfloat16 takes in what was appended and written since it last did."""
        rows, behind = self._rows.rows, len(self._half)
        if behind < len(rows):
            self._half.append(self._rounded(rows[behind:]))
        if len(self._stale):
            self._half.write(self._stale, self._rounded(rows[self._stale]))
            self._stale = self._stale[:0]

    def _rounded(self, rows: Tensor) -> Tensor:
        """Rows [n, D], n > 0, in bfloat16; the greatest length and rounding error are noted."""
        half = rows.bfloat16()
        slack, longest = (torch.linalg.vector_norm(x, dim=1).max() for x in (rows - half, rows))
        self._slack = max(self._slack, slack.item())
        self._longest = max(self._longest, longest.item())
        return half

    def _halved(self, queries: Tensor) -> "_Half":
        """Queries and rows in bfloat16, and by how much their products may be wrong."""
        self._follow()
        half = queries.bfloat16()
        # |q.x - q'.x'| <= |q - q'| |x| + |q'| |x - x'|, and the sum and its result are rounded.
        lengths = half.float().norm(dim=1)
        error = (queries - half.float()).norm(dim=1) * self._longest + lengths * self._slack
        error += _ADDING * queries.shape[1] * lengths * (self._longest + self._slack)
        return half, self._half.rows, Margin(error, _ROUNDING)


_Half = tuple[Tensor, Tensor, Margin]


def _in_pieces(
    queries: Tensor, rows: Tensor, half: _Half | None, k: int, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The best of all rows, from pieces of them whose scores the memory can hold."""
    if rows.device.type == "cpu":
        most = BYTES // ((4 if half is None else 2) * min(QUERIES, max(1, len(queries))))
    else:
        most = _SCORES_GPU // max(1, len(queries))
    piece = max(k, 1, most)
    best: tuple[Tensor, Tensor] | None = None
    for start in range(0, max(len(rows), 1), piece):
        part = slice(start, start + piece)
        own = None if half is None else (half[0], half[1][part], half[2])
        mask = None if allowed is None else allowed[part]
        values, places = _search(queries, rows[part], own, min(k, len(rows[part])), mask)
        places = places.where(places < 0, places + start)
        if best is not None:
            values, order = torch.cat([best[0], values], 1).topk(k, dim=1)
            places = torch.cat([best[1], places], 1).gather(1, order)
        best = values, places
    assert best is not None
    return best


def _search(
    queries: Tensor, rows: Tensor, half: _Half | None, k: int, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The best of one piece of the rows."""
    few = len(rows) < max(_GROUPED_FROM, _GROUPED_PER_K * k)
    if few or rows.device.type != "cpu" or not k or not len(queries):
        return plain_top(queries, rows, k, allowed)
    if half is None:
        found = candidates(queries, rows, k, allowed=allowed)
        scores = found.score
    else:
        found = candidates(half[0], half[1], k, half[2], allowed=allowed)
        scores = _products(queries, rows, found.query, found.place)
    values, places = best_of(found, scores, k)
    heavy = found.heavy.nonzero().flatten()
    for some in torch.split(heavy, QUERIES):
        values[some], places[some] = plain_top(queries[some], rows, k, allowed)
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

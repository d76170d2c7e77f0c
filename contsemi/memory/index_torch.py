"""Exact search by matrix product on the rows' own device.

Three things make it cheaper than a product and a top-k, none of them changes the answer:

- The k best lie in the k groups of rows with the greatest maxima, so only those are sorted.
- On a CPU that multiplies bfloat16 fast, a product in bfloat16 proposes candidates and float32
  decides. Each query checks the bound on the rounding error; one that fails it is asked again in
  float32.
- The score matrix is made in pieces, so that it never outgrows the memory.
"""

import torch
from torch import Tensor

from contsemi.memory.column import Column

__all__ = ["TorchRows", "exact_search", "top_rows"]

_PIECE = 1 << 26  # scores at a time
_GROUPED_FROM = 8192  # rows from which grouped top-k pays
_SCREENED_FROM = 20_000  # rows from which a product in bfloat16 pays
_SCREENED_K = 32  # beyond it sorting costs more than the product
_HALF_ULP = 2.0**-8  # relative rounding error of bfloat16


def top_rows(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As ``scores.topk(k, dim=1)``, up to the order of ties, faster for long rows.

    Args:
        scores: [B, M].
        k: at most M.
    """
    count = scores.shape[1]
    if count < _GROUPED_FROM or count < 64 * k or not k or scores.device.type != "cpu":
        return scores.topk(k, dim=1)
    size = max(2, int((count / k) ** 0.5))
    groups = count // size
    highest = scores[:, : size * groups].view(-1, size, groups).amax(1)
    chosen = highest.topk(k, dim=1, sorted=False).indices
    within = torch.arange(size, device=scores.device) * groups
    rest = torch.arange(size * groups, count, device=scores.device).expand(len(scores), -1)
    candidates = torch.cat([(chosen[:, :, None] + within).flatten(1), rest], dim=1)
    values, order = scores.gather(1, candidates).topk(k, dim=1)
    return values, candidates.gather(1, order)


def exact_search(
    queries: Tensor, rows: Tensor, k: int, allowed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k rows of greatest inner product, in pieces of bounded size.

    Args:
        queries: [B, D].
        rows: [M, D].
        k: at most M.
        allowed: bool [M], rows that may be found; ``None`` for all.

    Returns:
        scores [B, k] in descending order and int64 places [B, k]; -inf and -1 where too few rows
        are allowed.
    """
    if allowed is not None and rows.device.type == "cpu" and 2 * int(allowed.sum()) < len(rows):
        places = allowed.nonzero().flatten()
        values, found = exact_search(queries, rows[places], min(k, len(places)))
        missing = (0, k - found.shape[1])
        return (
            torch.nn.functional.pad(values, missing, value=-torch.inf),
            torch.nn.functional.pad(places[found], missing, value=-1),
        )
    piece = max(k, 1, _PIECE // max(len(queries), 1))
    best: tuple[Tensor, Tensor] | None = None
    for start in range(0, max(len(rows), 1), piece):
        scores = queries @ rows[start : start + piece].T
        if allowed is not None:
            scores.masked_fill_(~allowed[start : start + piece], -torch.inf)
        values, places = top_rows(scores, min(k, scores.shape[1]))
        places = places + start
        if best is not None:
            values, order = torch.cat([best[0], values], 1).topk(k, dim=1)
            places = torch.cat([best[1], places], 1).gather(1, order)
        best = values, places
    assert best is not None
    if allowed is None:
        return best
    return best[0], best[1].where(best[0] > -torch.inf, -1)


class TorchRows:
    """Rows in a tensor, searched exactly.

    Args:
        rows: float [M, D].
    """

    def __init__(self, rows: Tensor) -> None:
        self._rows = Column(rows)
        self._half: Column | None = None
        self._slack = self._longest = 0.0

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows and of their copy in bfloat16, if there is one."""
        return self._rows.resident_bytes() + (self._half.resident_bytes() if self._half else 0)

    def append(self, rows: Tensor) -> None:
        """Takes rows [n, D] in at the end."""
        self._rows.append(rows)
        if self._half is not None:
            self._half.append(self._rounded(rows))

    def write(self, places: Tensor, rows: Tensor) -> None:
        """Overwrites the rows at int64 [n] places."""
        self._rows.write(places, rows)
        if self._half is not None:
            self._half.write(places, self._rounded(rows))

    def drop(self, places: Tensor) -> None:
        """Nothing: a row that is gone is never allowed."""

    def search(self, queries: Tensor, k: int, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
        """As :func:`exact_search` over all rows."""
        rows = self._rows.rows
        queries = queries.to(rows.dtype)
        if allowed is None and self._screened(k):
            return self._search_screened(queries, rows, k)
        return exact_search(queries, rows, k, allowed)

    def _screened(self, k: int) -> bool:
        rows = self._rows.rows
        if len(rows) < _SCREENED_FROM or k > _SCREENED_K or rows.dtype != torch.float32:
            return False
        return rows.device.type == "cpu" and _multiplies_bfloat16()

    def _rounded(self, rows: Tensor) -> Tensor:
        """Rows in bfloat16; the largest length and rounding error so far are noted."""
        half = rows.bfloat16()
        if len(rows):
            self._slack = max(self._slack, float((rows - half.float()).norm(dim=1).max()))
            self._longest = max(self._longest, float(rows.norm(dim=1).max()))
        return half

    def _search_screened(self, queries: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Candidates by bfloat16, their scores by float32, and a proof that none is missing."""
        if self._half is None:
            self._half = Column(self._rounded(rows))
        half = queries.bfloat16()
        rough, candidates = exact_search(half, self._half.rows, min(4 * k + 8, len(rows)))
        scores = torch.einsum("bd,bkd->bk", queries, rows[candidates])
        values, order = scores.topk(k, dim=1)
        # |q.x - q'.x'| <= |q - q'| |x| + |q'| |x - x'|; a score that is not among the candidates
        # was at most the last of them, give or take the rounding of its own result.
        bound = (queries - half.float()).norm(dim=1) * self._longest
        bound += half.float().norm(dim=1) * self._slack
        last = rough[:, -1].float()
        unproven = values[:, -1] < last + 2 * _HALF_ULP * last.abs() + bound + 1e-6
        places = candidates.gather(1, order)
        again = unproven.nonzero().flatten()
        if len(again) and len(rows) > candidates.shape[1]:
            values[again], places[again] = exact_search(queries[again], rows, k)
        return values, places


def _multiplies_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()

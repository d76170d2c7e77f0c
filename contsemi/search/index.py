"""Nearest neighbours by inner product over rows that come, change and go.

One interface over several forms: ``torch`` and ``flat`` (FAISS) are exact; ``ivf`` and ``hnsw``
look at a part of the rows; ``sq8`` and ``pq`` are lists of compressed rows. Every form answers with
*places*, numbers that a row keeps until it is removed. An index is a cache: it is rebuilt from the
rows, never read from a file.
"""

from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from contsemi.search.column import Column, filled
from contsemi.search.faiss_rows import FlatRows, HnswRows, IvfRows, load_faiss
from contsemi.search.torch_rows import TorchRows

__all__ = ["Index", "Kind", "bytes_per_row", "choose"]

Kind = Literal["auto", "torch", "flat", "ivf", "hnsw", "sq8", "pq"]

_EXACT_UP_TO = 200_000  # rows that one CPU core searches in a fraction of a second
_EXACT_UP_TO_GPU = 20_000_000


class Rows(Protocol):
    """What a form of the index does; places are given out in order by ``append``.

    Where it ``forgets``, a row that was dropped is never found; else it must not be allowed.
    """

    @property
    def forgets(self) -> bool: ...
    @property
    def memory_bytes(self) -> int: ...
    def append(self, rows: Tensor) -> None: ...
    def write(self, places: Tensor, rows: Tensor) -> None: ...
    def drop(self, places: Tensor) -> None: ...
    def search(self, queries: Tensor, k: int, allowed: Tensor | None) -> tuple[Tensor, Tensor]: ...


def bytes_per_row(kind: str, width: int) -> int:
    """Bytes that a form keeps for each row of ``width`` numbers, its centres not counted."""
    codes = {"sq8": width, "pq": max(1, width // 2)}.get(kind, 4 * width)
    extra = {"torch": 2 * width, "flat": 0, "hnsw": 152}.get(kind, 8)
    return codes + extra


def choose(
    count: int, width: int, device: torch.device, budget: float | None = None
) -> tuple[str, str]:
    """The form that suits so many rows, and why.

    Exact where that is affordable, else lists of whole rows, else of compressed ones. Graphs are
    never chosen: at equal recall they were slower to search and to build than lists.

    Args:
        count: rows.
        width: D.
        device: where the rows are.
        budget: bytes for all rows; ``None`` for as many as it takes.
    """
    limit = _EXACT_UP_TO_GPU if device.type == "cuda" else _EXACT_UP_TO
    order = ["torch", "flat", "ivf", "sq8", "pq"] if count < limit else ["ivf", "sq8", "pq"]
    each = torch.inf if budget is None else budget / max(count, 1)
    kind = next((kind for kind in order if bytes_per_row(kind, width) <= each), "pq")
    room = "" if budget is None else f", {each:,.0f} bytes each"
    return kind, f"{count:,} rows on {device.type}{room}"


class Index:
    """Search over unit rows, with columns beside them.

    Args:
        rows: float [M, D]; M may be 0.
        kind: ``torch``, ``flat``, ``ivf``, ``hnsw``, ``sq8``, ``pq``, or ``auto`` to choose by
            size and budget.
        budget: bytes for all rows, for ``auto``.
        folder: a folder on disk for the lists of ``ivf``, ``sq8`` and ``pq``, if they are too many
            for the memory; they are scratch, and gone with the index.
        columns: name -> [M, ...], what is known of each row: classes, tasks, ids, soft labels.

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
        **columns: Tensor,
    ) -> None:
        chosen, self.reason = str(kind), "asked for"
        if kind == "auto":
            chosen, self.reason = choose(len(rows), rows.shape[1], rows.device, budget)
        if chosen != "torch" and load_faiss() is None:
            chosen, self.reason = "torch", "faiss is not installed"
        elif chosen in ("flat", "hnsw") and rows.device.type == "cuda":
            chosen, self.reason = "torch", f"{chosen} is slower than torch on a GPU"
        self.kind = chosen
        self.device = rows.device
        self._rows, note = _make(rows, chosen, folder)
        self.reason += note
        self._alive = Column(filled(len(rows), True, rows.device))
        self._columns = {name: Column(_checked(name, x, rows)) for name, x in columns.items()}
        self._free = torch.empty(0, dtype=torch.int64)  # places of removed rows, ascending

    def __len__(self) -> int:
        return len(self._alive) - len(self._free)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows as they are kept, and of the columns."""
        return self._rows.memory_bytes + sum(x.resident_bytes() for x in self._columns.values())

    def __getitem__(self, column: str) -> Tensor:
        """A column by place, [P, ...]; what stands at the place of a removed row means nothing."""
        return self._columns[column].rows

    def add(self, rows: Tensor, **columns: Tensor) -> Tensor:
        """Takes rows in, first at the places of removed ones.

        Args:
            rows: float [n, D].
            columns: name -> [n, ...], all those that the index was made with.

        Returns:
            int64 [n], their places.
        """
        self._check(columns)
        reused = self._free[: len(rows)]
        split = len(reused)
        self._free = self._free[split:]
        fresh = torch.arange(len(self._alive), len(self._alive) + len(rows) - split)
        if split:
            self._put(reused, rows[:split], {name: x[:split] for name, x in columns.items()})
            self._alive.write(reused.to(self.device), filled(split, True, self.device))
        if len(fresh):
            self._rows.append(rows[split:])
            self._alive.append(filled(len(fresh), True, self.device))
            for name, column in columns.items():
                self._columns[name].append(_checked(name, column, rows)[split:])
        return torch.cat([reused, fresh]).to(self.device)

    def replace(self, places: Tensor, rows: Tensor, **columns: Tensor) -> None:
        """Puts other rows at places in use.

        Args:
            places: int64 [n], no place twice.
            rows: float [n, D].
            columns: name -> [n, ...]; a column that is not given stays.
        """
        self._check(columns, some=True)
        self._put(places, rows, columns)

    def remove(self, places: Tensor) -> None:
        """The rows at int64 [n] places in use are gone, and never found again."""
        if not len(places):
            return
        self._rows.drop(places)
        self._alive.write(places.to(self.device), filled(len(places), False, self.device))
        self._free = torch.cat([self._free, places.cpu()]).sort().values

    def where(self, **values: Tensor) -> Tensor:
        """The rows whose columns hold one of the given values.

        Args:
            values: name of a column of ints -> int64 [n].

        Returns:
            bool [P], by place; removed rows are ``False``.
        """
        mask = self._alive.rows.clone()
        for name, wanted in values.items():
            mask &= torch.isin(self[name], wanted.to(self.device))
        return mask

    def search(self, queries: Tensor, k: int, allow: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The k rows of greatest inner product with each query.

        Args:
            queries: float [B, D].
            k: neighbours; at most the number of rows are returned.
            allow: bool [P] by place, rows that may be found; see :meth:`where`.

        Returns:
            scores [B, k'] in descending order and int64 places [B, k'], k' = min(k, M). Where
            ``allow`` leaves fewer, -inf and -1.
        """
        k = min(k, len(self))
        if not k:
            return queries.new_empty(len(queries), 0), self._free.new_empty(len(queries), 0)
        if len(self._free) and not self._rows.forgets:
            allow = self._alive.rows if allow is None else allow & self._alive.rows
        return self._rows.search(queries, k, allow)

    def _put(self, places: Tensor, rows: Tensor, columns: dict[str, Tensor]) -> None:
        self._rows.write(places.to(self.device), rows)
        for name, column in columns.items():
            self._columns[name].write(places.to(self.device), _checked(name, column, rows))

    def _check(self, columns: dict[str, Tensor], some: bool = False) -> None:
        wrong = columns.keys() - self._columns if some else columns.keys() ^ self._columns.keys()
        if wrong:
            raise ValueError(f"column {min(wrong)!r} is missing or unknown")


def _checked(name: str, column: Tensor, rows: Tensor) -> Tensor:
    if len(column) != len(rows):
        raise ValueError(f"column {name!r} has {len(column)} entries for {len(rows)} rows")
    return column.to(rows.device)


def _make(rows: Tensor, kind: str, folder: Path | None) -> tuple[Rows, str]:
    """The rows in the form asked for, and a remark."""
    if kind == "torch":
        return TorchRows(rows), ""
    if kind == "flat":
        return FlatRows(rows), ""
    if kind == "hnsw":
        return HnswRows(rows), ""
    if rows.device.type != "cuda" or folder is not None:
        return IvfRows(rows, kind, folder=folder), ""
    count = getattr(load_faiss(), "get_num_gpus", int)()
    gpu = rows.device.index or 0
    if gpu >= count:
        return IvfRows(rows, kind), ", searched on the CPU: faiss finds no GPU"
    return IvfRows(rows, kind, gpu=gpu), ""

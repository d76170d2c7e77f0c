"""FAISS behind the index: exact rows, and lists of rows on the CPU."""

import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contsemi.errors import StorageFailed
from contsemi.search.faiss_gpu import BITS, MOST, OnGpu, code_length, load_faiss
from contsemi.storage.atomic import make_folder, storage

__all__ = ["FlatRows", "IvfRows", "load_faiss"]

_PIECE = 65_536  # rows added at a time
_LISTS = 8  # IVF lists a search visits
_MOST_LISTS, _ROUNDS, _PER_LIST = 8192, 10, 32  # of IVF: lists, rounds of k-means, rows of it
_GROWTH = 2  # a list that is full moves to a place twice as long
_OFF_UNIT, _LEAST = 1e-2, 1e-12  # lengths that count as 1, and the least there is


def _array(x: Tensor) -> Any:
    return x.detach().float().cpu().contiguous().numpy()


def _pieces(rows: Tensor) -> Iterator[Any]:
    for part in torch.split(rows, _PIECE):
        yield _array(part)


def _all_unit(rows: Any) -> bool:
    return bool((np.abs(np.linalg.norm(rows, axis=1) - 1) < _OFF_UNIT).all())


def _scratch(folder: Path, needed: int) -> Path:
    """A file for lists of so many bytes.

    Raises:
        StorageFailed: the folder cannot be made, or has no room for them.
    """
    with storage(folder):
        make_folder(folder)
        free = shutil.disk_usage(folder).free
    if free < _GROWTH * needed:
        raise StorageFailed(
            f"{folder}: {free} bytes free, {_GROWTH * needed} needed for the index of embeddings; "
            "free space, lower memory.embeddings, raise memory.bytes, or set data.cache elsewhere"
        )
    return folder / f"lists_{os.getpid()}_{secrets.token_hex(4)}.ivf"


@contextmanager
def _unsaid() -> Iterator[None]:
    """Without the line that FAISS prints each time a file grows."""
    flush = ctypes.CDLL(None).fflush  # of C's own buffer, where the lines would wait
    before, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        sys.stdout.flush()
        flush(None)
        os.dup2(nowhere, 1)
        yield
    finally:
        flush(None)
        os.dup2(before, 1)
        os.close(before)
        os.close(nowhere)


class FlatRows:
    """Exact search over float32 rows.

    Args:
        rows: float [M, D].
    """

    def __init__(self, rows: Tensor) -> None:
        self._index = load_faiss().IndexFlatIP(rows.shape[1])
        for part in _pieces(rows):
            self._index.add(part)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows."""
        return int(self._index.ntotal) * int(self._index.code_size)

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k rows of greatest inner product."""
        scores, places = self._index.search(_array(queries), k)
        return tuple(torch.from_numpy(x).to(queries.device) for x in (scores, places))  # type: ignore[return-value]


class IvfRows:
    """Approximate search in the nearest of many lists, as they are or compressed.

    What is decoded of a compressed row is longer or shorter than the row was. As long as all rows
    have unit length, somewhat more candidates than asked for are compared at that length, which
    takes away most of the error: by the lengths of all decoded rows, kept beside the lists.

    Args:
        rows: float [M, D], M > 0. The lists' centres, and the codec, are fitted on some of them.
        codec: ``ivf`` for float32 rows, ``sq8`` for a byte a number, ``pq`` for about half of one.
        folder: where the lists lie, as a scratch file, if they are too many for the memory.
        gpu: number of the GPU that searches; ``None`` for the CPU.
    """

    def __init__(
        self, rows: Tensor, codec: str, *, folder: Path | None = None, gpu: int | None = None
    ) -> None:
        self._faiss = load_faiss()
        self._codec, self._folder = codec, folder
        self._index: Any = None
        self._lengths: Tensor | None = None
        self._on_gpu: OnGpu | None = None
        self._on_disk: Path | None = None
        if not len(rows):
            return
        self._index = self._fit(rows)
        unit = codec != "ivf"
        with nullcontext() if self._on_disk is None else _unsaid():
            for part in _pieces(rows):
                self._index.add(part)
                unit = unit and _all_unit(part)
        if self._on_disk is not None:  # it stays as long as it is mapped, and no longer
            self._on_disk.unlink()
        if unit:
            self._lengths = self._decoded_lengths().to(rows.device)
        if gpu is not None:
            self._on_gpu = OnGpu(self._index, gpu)

    @property
    def memory_bytes(self) -> int:
        """Bytes of codes and ids (on disk, if there is a folder), of lengths and centres."""
        if self._index is None:
            return 0
        count, centres = int(self._index.ntotal), int(self._index.nlist)
        lengths = 0 if self._lengths is None else self._lengths.nbytes
        return count * (int(self._index.code_size) + 8) + lengths + 4 * int(self._index.d) * centres

    def _fit(self, rows: Tensor) -> Any:
        """The empty lists, on centres by k-means."""
        faiss, (count, width) = self._faiss, rows.shape
        lists = max(1, min(int(4 * count**0.5), count // 39, _MOST_LISTS))
        coarse = faiss.IndexFlatIP(width)
        args = coarse, width, lists
        metric = faiss.METRIC_INNER_PRODUCT
        sample = rows
        if self._codec == "ivf":
            index = faiss.IndexIVFFlat(*args, metric)
        elif self._codec == "sq8":
            index = faiss.IndexIVFScalarQuantizer(
                *args, faiss.ScalarQuantizer.QT_8bit, metric, True
            )
        else:
            bits = max(1, min(BITS, int(np.log2(max(2, count)))))
            index = faiss.IndexIVFPQ(*args, code_length(width), bits, metric)
            index.pq.cp.min_points_per_centroid = 1
            sample = rows.repeat(2, 1) if count == 1 else rows
        index.cp.spherical, index.cp.min_points_per_centroid, index.cp.niter = True, 1, _ROUNDS
        index.train(_array(sample[:: max(1, count // max(_PER_LIST * lists, 20_000))]))
        self._keep = [coarse]
        if self._folder is not None:
            needed = count * (int(index.code_size) + 8)
            self._on_disk = _scratch(self._folder, needed)
            lists_on_disk = faiss.OnDiskInvertedLists(lists, index.code_size, str(self._on_disk))
            index.replace_invlists(lists_on_disk, False)
            self._keep.append(lists_on_disk)
        return index

    def _decoded_lengths(self) -> Tensor:
        """Length of what is decoded of each row, float32 [M], list by list."""
        index, lists = self._index, self._index.invlists
        found = np.empty(int(index.ntotal), np.float32)
        prefix = int(index.sa_code_size()) - int(index.code_size)
        for number in range(int(index.nlist)):
            size = int(lists.list_size(number))
            if not size:
                continue
            ids = self._faiss.rev_swig_ptr(lists.get_ids(number), size)
            codes = self._faiss.rev_swig_ptr(lists.get_codes(number), size * int(index.code_size))
            whole = np.empty((size, prefix + int(index.code_size)), np.uint8)
            whole[:, :prefix] = np.frombuffer(number.to_bytes(prefix, "little"), np.uint8)
            whole[:, prefix:] = codes.reshape(size, -1)
            found[ids] = np.linalg.norm(index.sa_decode(whole), axis=1)
        return torch.from_numpy(found).clamp_(min=_LEAST)

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Finds k rows of great inner product.

        On the CPU a query that finds fewer than k in its lists looks into all of them. On a GPU,
        where the host would have to wait to know it, it has -inf and -1.
        """
        index = self._index
        more = k if self._lengths is None else min(k + k // 4 + 8, int(index.ntotal))
        # Lists enough for 8 times the rows asked for, whatever their size.
        visited = min(index.nlist, max(_LISTS, -(-8 * k * index.nlist // index.ntotal)))
        if self._on_gpu is not None and max(more, visited) <= MOST:
            scores, places = self._on_gpu.search(queries, more, visited)
        else:
            scores, places = self._search_host(queries, more, k, visited)
        scores = scores.masked_fill(places < 0, -torch.inf)
        if self._lengths is None:
            return scores, places
        scores = scores / self._lengths[places.clamp(min=0)]
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        return scores.gather(1, order), places.gather(1, order)

    def _search_host(
        self, queries: Tensor, more: int, least: int, lists: int
    ) -> tuple[Tensor, Tensor]:
        """``more`` of some lists, or of all for a query that finds not even ``least``."""
        faiss, asked = self._faiss, _array(queries)

        def ask(some: Any, nprobe: int) -> Any:
            return self._index.search(some, more, params=faiss.SearchParametersIVF(nprobe=nprobe))

        scores, places = ask(asked, lists)
        short = ((places >= 0).sum(1) < least).nonzero()[0]
        if len(short):
            scores[short], places[short] = ask(asked[short], self._index.nlist)
        return tuple(torch.from_numpy(x).to(queries.device) for x in (scores, places))  # type: ignore[return-value]

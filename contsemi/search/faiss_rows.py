"""FAISS behind the index; the only file that imports it.

Ids inside FAISS are places of the index, given by hand: removing from an ``IndexIDMap2`` over an
IVF aborts the process.
"""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["FlatRows", "HnswRows", "IvfRows", "load_faiss"]

_PIECE = 65_536  # rows added at a time
_LINKS, _BUILD_WIDTH = 16, 80  # of HNSW
_LISTS = 8  # IVF lists a search visits
_MOST_LISTS, _ROUNDS, _PER_LIST = 8192, 10, 32  # of IVF: lists, rounds of k-means, rows of it
_RESCORED_K = 64  # neighbours up to which compressed rows are compared anew; beyond it costs more
_MOST_ON_GPU = 2048  # neighbours, and lists visited, that FAISS takes there
_OFF_UNIT, _LEAST = 1e-2, 1e-12  # lengths that count as 1, and the least there is


def load_faiss() -> Any:
    """The module, or ``None`` where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def _array(x: Tensor) -> Any:
    return x.detach().float().cpu().contiguous().numpy()


def _all_unit(rows: Any) -> bool:
    return bool((np.abs(np.linalg.norm(rows, axis=1) - 1) < _OFF_UNIT).all())


def _selector(faiss: Any, allowed: Any) -> Any:
    """A selector of the rows whose bit is set; ``allowed`` is a bool array."""
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _tensors(found: tuple[Any, Any], like: Tensor) -> tuple[Tensor, Tensor]:
    scores, places = (torch.from_numpy(x).to(like.device) for x in found)
    return scores.masked_fill(places < 0, -torch.inf), places


class FlatRows:
    """Exact search over float32 rows, overwritten in place.

    Args:
        rows: float [M, D].
    """

    forgets = False

    def __init__(self, rows: Tensor) -> None:
        self._faiss = load_faiss()
        self._index = self._faiss.IndexFlatIP(rows.shape[1])
        self.append(rows)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows."""
        return int(self._index.ntotal) * int(self._index.code_size)

    def append(self, rows: Tensor) -> None:
        """Takes rows [n, D] in at the end."""
        if len(rows):
            self._index.add(_array(rows))

    def write(self, places: Tensor, rows: Tensor) -> None:
        """Overwrites the rows at int64 [n] places."""
        index = self._index
        stored = self._faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
        stored.reshape(index.ntotal, index.d)[places.cpu().numpy()] = _array(rows)

    def drop(self, places: Tensor) -> None:
        """Nothing: a row that is gone is never allowed."""

    def search(self, queries: Tensor, k: int, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
        """The k allowed rows of greatest inner product; -inf and -1 where there are fewer."""
        params = None
        if allowed is not None:
            selector = _selector(self._faiss, allowed.cpu().numpy())
            params = self._faiss.SearchParameters(sel=selector)
        return _tensors(self._index.search(_array(queries), k, params=params), queries)


class HnswRows:
    """Approximate search by a graph of neighbours.

    A graph only ever grows: it is rebuilt when half of it is dead.

    Args:
        rows: float [M, D].
    """

    forgets = True

    def __init__(self, rows: Tensor) -> None:
        self._faiss = load_faiss()
        self._width = rows.shape[1]
        self._count = 0
        self._start()
        self.append(rows)

    def _start(self) -> None:
        metric = self._faiss.METRIC_INNER_PRODUCT
        self._index = self._faiss.IndexHNSWFlat(self._width, _LINKS, metric)
        self._index.hnsw.efConstruction = _BUILD_WIDTH
        self._places = np.empty(0, np.int64)  # place of each node, -1 for a dead one

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows, their links and places."""
        return int(self._index.ntotal) * (4 * self._width + 8 * _LINKS + 24)

    def append(self, rows: Tensor) -> None:
        """Takes rows [n, D] in at the end."""
        self._insert(np.arange(self._count, self._count + len(rows)), _array(rows))
        self._count += len(rows)

    def _insert(self, places: Any, rows: Any) -> None:
        if len(places):
            self._index.add(rows)
            self._places = np.concatenate([self._places, places])

    def write(self, places: Tensor, rows: Tensor) -> None:
        """Puts other rows at int64 [n] places."""
        self.drop(places)
        self._insert(places.cpu().numpy(), _array(rows))

    def drop(self, places: Tensor) -> None:
        """The rows at int64 [n] places are dead."""
        self._places[np.isin(self._places, places.cpu().numpy())] = -1
        alive = (self._places >= 0).nonzero()[0]
        if 2 * len(alive) < len(self._places):
            rows = self._index.reconstruct_batch(alive) if len(alive) else np.empty(0)
            kept = self._places[alive]
            self._start()
            self._insert(kept, rows)

    def search(self, queries: Tensor, k: int, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
        """Finds k allowed rows of great inner product; -inf and -1 where there are fewer."""
        faiss, asked = self._faiss, _array(queries)
        alive = self._places >= 0
        if allowed is not None:
            alive &= allowed.cpu().numpy()[self._places]
        selector = None if alive.all() else _selector(faiss, alive)
        params = faiss.SearchParametersHNSW(sel=selector, efSearch=max(64, 4 * k))
        scores, nodes = self._index.search(asked, k, params=params)
        short = (nodes[:, -1:] < 0).any(1).nonzero()[0]
        if len(short):  # the graph does not reach enough of them: all are looked at
            params = faiss.SearchParameters(sel=selector)
            scores[short], nodes[short] = self._index.storage.search(asked[short], k, params=params)
        return _tensors((scores, np.where(nodes < 0, -1, self._places[nodes])), queries)


class IvfRows:
    """Approximate search in the nearest of many lists, as they are or compressed.

    Args:
        rows: float [M, D]. The lists' centres, and the codec, are fitted on the first rows that
            come, so they are best given all at once.
        codec: ``ivf`` for float32 rows, ``sq8`` for a byte a number, ``pq`` for half of one. What
            is decoded of a row is longer or shorter than the row was: as long as all rows have
            unit length, a search for few neighbours without a filter compares the best candidates
            at that length, which takes away most of the error.
        folder: where the lists lie, as a scratch file, if they are too many for the memory.
        gpu: number of the GPU that searches all rows; ``None`` for the CPU, which serves filtered
            searches and all changes, as FAISS can neither filter nor remove on a GPU. The copy
            there is made anew by the first search after a change.
    """

    forgets = True

    def __init__(
        self, rows: Tensor, codec: str, *, folder: Path | None = None, gpu: int | None = None
    ) -> None:
        self._faiss = load_faiss()
        self._width, self._codec, self._folder, self._gpu = rows.shape[1], codec, folder, gpu
        self._count = 0
        self._index: Any = None
        self._on_gpu: Any = None
        self._unit = codec != "ivf"
        self.append(rows)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the codes and ids (on disk, if there is a folder), and of the centres."""
        if self._index is None:
            return 0
        per_row = int(self._index.code_size) + 8
        return int(self._index.ntotal) * per_row + 4 * self._width * int(self._index.nlist)

    def _fit(self, rows: Any) -> None:
        """Makes the empty lists, on centres by k-means."""
        faiss, width, count = self._faiss, self._width, len(rows)
        lists = max(1, min(int(4 * count**0.5), count // 39, _MOST_LISTS))
        coarse = faiss.IndexFlatIP(width)
        args = coarse, width, lists
        metric = faiss.METRIC_INNER_PRODUCT
        if self._codec == "ivf":
            index = faiss.IndexIVFFlat(*args, metric)
        elif self._codec == "sq8":
            index = faiss.IndexIVFScalarQuantizer(
                *args, faiss.ScalarQuantizer.QT_8bit, metric, True
            )
        else:
            parts = next(n for n in range(max(1, width // 2), 0, -1) if width % n == 0)
            bits = max(1, min(8, int(np.log2(max(2, count)))))
            index = faiss.IndexIVFPQ(*args, parts, bits, metric)
            index.pq.cp.min_points_per_centroid = 1
            rows = np.resize(rows, (max(2, count), width))
        index.cp.spherical, index.cp.min_points_per_centroid, index.cp.niter = True, 1, _ROUNDS
        sample = rows[:: max(1, count // max(_PER_LIST * lists, 20_000))]
        index.train(sample)
        self._index = index
        self._keep = [coarse]
        if self._folder is not None:
            path = self._folder / f"lists_{id(self)}.ivf"
            lists_on_disk = faiss.OnDiskInvertedLists(lists, index.code_size, str(path))
            index.replace_invlists(lists_on_disk, False)
            self._keep.append(lists_on_disk)
            weakref.finalize(self, path.unlink, missing_ok=True)

    def append(self, rows: Tensor) -> None:
        """Takes rows [n, D] in at the end."""
        self._insert(np.arange(self._count, self._count + len(rows)), rows)
        self._count += len(rows)

    def _insert(self, places: Any, rows: Tensor) -> None:
        if not len(places):
            return
        if self._index is None:
            self._fit(_array(rows))
        self._on_gpu = None
        for start in range(0, len(places), _PIECE):
            part = _array(rows[start : start + _PIECE])
            self._unit = self._unit and _all_unit(part)
            self._index.add_with_ids(part, places[start : start + _PIECE])

    def write(self, places: Tensor, rows: Tensor) -> None:
        """Puts other rows at int64 [n] places."""
        self.drop(places)
        self._insert(places.cpu().numpy(), rows)

    def drop(self, places: Tensor) -> None:
        """The rows at int64 [n] places are gone."""
        if self._index is not None and len(places):
            self._on_gpu = None
            self._index.remove_ids(self._faiss.IDSelectorBatch(places.cpu().numpy()))

    def search(self, queries: Tensor, k: int, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
        """Finds k allowed rows of great inner product; -inf and -1 where there are fewer.

        A query that finds fewer in its lists than there are looks into all of them.
        """
        faiss, index = self._faiss, self._index
        # Lists enough for 8 times the rows asked for, whatever their size.
        visited = min(index.nlist, max(_LISTS, -(-8 * k * index.nlist // max(1, index.ntotal))))
        if self._gpu is not None and allowed is None and max(k, visited) <= _MOST_ON_GPU:
            return self._search_gpu(queries, k, visited)
        asked = _array(queries)
        mask = None if allowed is None else allowed.cpu().numpy()
        selector = None if mask is None else _selector(faiss, mask)
        enough = min(k, index.ntotal if mask is None else int(mask.sum()))

        def ask(some: Any, lists: int) -> tuple[Any, Any]:
            params = faiss.SearchParametersIVF(sel=selector, nprobe=lists)
            if self._unit and selector is None and k <= _RESCORED_K:
                return self._rescored(some, k, params)
            found: tuple[Any, Any] = index.search(some, k, params=params)
            return found

        scores, places = ask(asked, visited)
        short = ((places >= 0).sum(1) < enough).nonzero()[0]
        if len(short):
            scores[short], places[short] = ask(asked[short], index.nlist)
        return _tensors((scores, places), queries)

    def _rescored(self, asked: Any, k: int, params: Any) -> tuple[Any, Any]:
        """The k best at unit length, of somewhat more candidates."""
        more = k + k // 4 + 8
        scores, places, codes = self._index.search_and_return_codes(
            asked, more, params=params, include_listnos=True
        )
        rows = self._index.sa_decode(codes.reshape(-1, codes.shape[-1]))
        lengths = np.maximum(np.linalg.norm(rows, axis=1).reshape(places.shape), _LEAST)
        scores = np.where(places < 0, -np.inf, scores / lengths)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(places, order, 1)

    def _search_gpu(self, queries: Tensor, k: int, lists: int) -> tuple[Tensor, Tensor]:
        """The k best of some lists, on the GPU."""
        assert self._gpu is not None
        if self._on_gpu is None:
            self._on_gpu = _to_gpu(self._faiss, self._index, self._gpu)
        self._on_gpu.nprobe = lists
        scores, places = self._on_gpu.search(queries.detach().float().contiguous(), k)
        return scores.masked_fill(places < 0, -torch.inf), places


def _to_gpu(faiss: Any, index: Any, gpu: int) -> Any:
    """The index on a GPU, where it takes torch tensors without a host copy."""
    import faiss.contrib.torch_utils

    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), gpu, index)

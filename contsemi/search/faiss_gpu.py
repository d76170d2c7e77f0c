"""FAISS's lists on a GPU: what it takes there, and searching them without a copy on the host.

``faiss.contrib.torch_utils`` would take tensors, too, but it replaces ``search`` of every index of
the process, after which none takes parameters.

Source: FAISS's wiki, "Faiss on the GPU": limits of lists, neighbours and codes.
"""

from typing import Any

import torch
from torch import Tensor

MOST = 2048  # neighbours, and lists visited, that FAISS takes on a GPU
BITS = 8  # of a code there
_SCRATCH = 256 << 20  # bytes that a search may take on the GPU; FAISS's own choice is 1.5 GiB
# Codes of a row, and numbers that one code stands for, that its kernels are made for.
_LENGTHS = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96)
_SPANS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32)


def load_faiss() -> Any:
    """The module, or ``None`` where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def code_length(width: int) -> int:
    """Codes a row of ``pq``: about half as many as numbers, of those that a GPU takes.

    Where no such number divides the width, one that does.

    >>> [code_length(width) for width in (8, 128, 256, 7, 22)]
    [4, 64, 64, 1, 11]
    """
    divisors = [n for n in range(max(1, width // 2), 0, -1) if width % n == 0]
    taken = (n for n in divisors if n in _LENGTHS and width // n in _SPANS)
    found = next(taken, divisors[0])
    # a length that a GPU takes is not worth codes that stand for many more numbers each
    return found if 4 * found >= divisors[0] else divisors[0]


def gpu_of(rows: Tensor) -> int:
    """The number of the GPU that the rows are on."""
    return rows.device.index if rows.device.index is not None else torch.cuda.current_device()


def why_not_on_gpu(codec: str, rows: Tensor) -> str:
    """What stands against lists on the GPU of rows [M, D]; empty if nothing does."""
    if gpu_of(rows) >= getattr(load_faiss(), "get_num_gpus", int)():
        return "faiss finds no GPU"
    if codec != "pq":
        return ""
    count, width = rows.shape
    codes = code_length(width)
    if codes not in _LENGTHS or width // codes not in _SPANS:
        return f"a GPU takes no {codes} codes of {width // codes} numbers each"
    return "" if count >= 1 << BITS else f"a GPU takes codes of {BITS} bits, from {1 << BITS} rows"


class OnGpu:
    """A copy on a GPU of lists that the CPU has made.

    Args:
        index: FAISS's, of the CPU.
        gpu: number of the GPU.
    """

    def __init__(self, index: Any, gpu: int) -> None:
        faiss = load_faiss()
        self._faiss, self._gpu = faiss, gpu
        self._resources = faiss.StandardGpuResources()
        self._resources.setTempMemory(_SCRATCH)
        options = faiss.GpuClonerOptions()
        # of tables of products with codes: 64 codes of 8 bits fit a multiprocessor's memory only so
        options.useFloat16 = isinstance(index, faiss.IndexIVFPQ)
        self._index = faiss.index_cpu_to_gpu(self._resources, gpu, index, options)

    def search(self, queries: Tensor, k: int, lists: int) -> tuple[Tensor, Tensor]:
        """The k best of so many lists; nothing waits.

        Args:
            queries: float [B, D], on the GPU.
            k: neighbours, at most :data:`MOST`.
            lists: visited, at most :data:`MOST`.

        Returns:
            scores float32 [B, k] and int64 places [B, k], -1 where the lists hold fewer.
        """
        faiss = self._faiss
        asked = queries.detach().float().contiguous()
        scores = asked.new_empty(len(asked), k)
        places = torch.empty_like(scores, dtype=torch.int64)
        # FAISS's kernels follow those of torch in its stream, and torch's follow them
        stream = torch.cuda.current_stream(queries.device).cuda_stream
        self._resources.setDefaultStream(self._gpu, faiss.cast_integer_to_cudastream_t(stream))
        self._index.nprobe = lists
        self._index.search_c(
            len(asked),
            faiss.cast_integer_to_float_ptr(asked.data_ptr()),
            k,
            faiss.cast_integer_to_float_ptr(scores.data_ptr()),
            faiss.cast_integer_to_idx_t_ptr(places.data_ptr()),
        )
        return scores, places

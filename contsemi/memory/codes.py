"""Unit rows in a few bytes each: a product quantiser with codes of four bits.

A row is cut into spans of equal width, and of each span the number of the nearest of sixteen
centroids is kept: two spans a byte. Sixteen centroids, where 256 are usual, as the codebooks count
among the memory's bytes: they take 32 bytes for each number of a row, in half precision, and would
take 512. What is decoded is brought back to unit length.

Source: Jégou et al. 2011, "Product quantization for nearest neighbor search".
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.kmeans import kmeans
from contsemi.search.torch_rows import in_pieces

CENTROIDS = 16
_FITTED = 20_000  # rows that centroids are fitted on, at most
_ROUNDS = 25  # of k-means, at most


def _spans(width: int, size: int) -> tuple[int, int]:
    """Spans of a row of a width in so many bytes, and numbers of each."""
    numbers = math.ceil(width / min(2 * size, width))
    return math.ceil(width / numbers), numbers


def coded_bytes(width: int, size: int) -> tuple[int, int]:
    """Bytes of the centroids, and of each row.

    Args:
        width: D.
        size: bytes a row, at most.

    >>> coded_bytes(128, 16), coded_bytes(20, 16)
    ((4096, 16), (640, 10))
    """
    spans, numbers = _spans(width, size)
    return 2 * CENTROIDS * spans * numbers, math.ceil(spans / 2)


class Codes:
    """M unit rows, each in so many bytes at most.

    Args:
        packed: uint8 [M, bytes], two codes each; of an odd number of spans the last one is half.
        centroids: float16 [spans, 16, s], s numbers a span.
        width: D <= spans * s; what is above is padding.
    """

    def __init__(self, packed: Tensor, centroids: Tensor, width: int) -> None:
        self.packed, self.centroids, self.width = packed, centroids, width

    @classmethod
    @torch.no_grad()
    def of(cls, rows: Tensor, size: int) -> "Codes":
        """The codes of rows, by centroids of their own; the same rows give the same codes.

        Args:
            rows: float [M, D], M > 0, of unit length.
            size: bytes a row, at most.

        Raises:
            InputError: FAISS, which finds the centroids, is not installed.
        """
        width = rows.shape[1]
        spans, numbers = _spans(width, size)
        padded = functional.pad(rows.float(), (0, spans * numbers - width))
        parts = padded.view(len(rows), spans, numbers).transpose(0, 1).contiguous()
        centroids = parts.new_zeros(spans, CENTROIDS, numbers)
        codes = torch.empty(len(rows), spans + spans % 2, dtype=torch.uint8, device=rows.device)
        codes[:, spans:] = 0
        step = max(1, len(rows) // _FITTED)
        for number, part in enumerate(parts):
            found = kmeans(part[::step], CENTROIDS, seed=number, iterations=_ROUNDS).centroids
            centroids[number, : len(found)] = found
            centroids[number, len(found) :] = found[:1]  # of fewer rows
        centroids = centroids.half()
        for number, part in enumerate(parts):
            codes[:, number] = torch.cdist(part, centroids[number].float()).argmin(1).byte()
        return cls(codes[:, ::2] | codes[:, 1::2] << 4, centroids, width)

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and centroids."""
        return self.packed.nbytes + self.centroids.nbytes

    def __getitem__(self, places: Tensor | slice) -> Tensor:
        """What the rows at some places are decoded to: float32 [..., D], of unit length."""
        packed = self.packed[places]
        codes = torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2).long()
        spans = torch.arange(len(self.centroids), device=packed.device)
        rows = self.centroids.float()[spans, codes[..., : len(spans)]].flatten(-2)
        return functional.normalize(rows[..., : self.width], dim=-1)

    def all(self) -> Tensor:
        """All rows, float32 [M, D]."""
        return self[:]

    @property
    def device(self) -> torch.device:
        """Where the codes are."""
        return self.packed.device

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k rows of greatest inner product with each query, as they are decoded.

        Args:
            queries: float [B, D].
            k: neighbours; at most the number of rows are returned.

        Returns:
            scores [B, k'] in descending order and int64 places [B, k'], k' = min(k, M).
        """
        return in_pieces(queries.float(), self, min(k, len(self)))


class CodedIndex:
    """Exact search over what codes are decoded to, piece by piece: nothing is kept beside them.

    Args:
        codes: the rows.

    Attributes:
        kind: as :class:`contsemi.search.index.Index` has it.
        reason: how it searches, in a few words.
    """

    kind = "pq"
    memory_bytes = 0

    def __init__(self, codes: Codes) -> None:
        self.search = codes.search
        size, spans = codes.packed.shape[1], len(codes.centroids)
        self.reason = f"{size} bytes a row, {spans} codes of four bits, all of them compared"

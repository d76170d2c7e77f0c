"""Squared Euclidean distances and the nearest of them, in pieces that fit the memory."""

import torch
from torch import Tensor

PIECE_BYTES = 1 << 27  # of the distances that are held at a time


def squared_distances(rows: Tensor, others: Tensor) -> Tensor:
    """Squared Euclidean distances [N, M], summed coordinate by coordinate where rows are few.

    A product of matrices rounds distances of rows that nearly coincide to nothing; it serves
    above some thousand rows only, where time counts, and is never negative.

    Args:
        rows: [N, D].
        others: [M, D].

    >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """
    if len(rows) * len(others) * rows.shape[1] <= 1 << 22:
        return (rows[:, None] - others).square_().sum(dim=2)
    squares = rows.square().sum(dim=1)[:, None] + others.square().sum(dim=1)
    return torch.addmm(squares, rows, others.T, alpha=-2).clamp_(min=0)


def pieces(number: int, others: int, itemsize: int) -> list[slice]:
    """Slices of N rows whose distances to others fit the memory that is meant for them.

    >>> pieces(3, 10, 4)
    [slice(0, 3, None)]
    """
    step = max(1, PIECE_BYTES // max(1, others * itemsize))
    return [slice(at, min(at + step, number)) for at in range(0, number, step)]


def nearest_distances(rows: Tensor, others: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The smallest squared distances of each row, ascending, and whose they are.

    Args:
        rows: [N, D].
        others: [M, D]; the rows themselves count as their own nearest if they are among them.
        number: k; fewer if there are fewer others.

    Returns:
        distances [N, k'] and row numbers int64 [N, k'], k' = min(k, M).

    >>> nearest_distances(torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0], [3.0]]), 1)
    (tensor([[1.],
            [0.]]), tensor([[0],
            [1]]))
    """
    number = min(number, len(others))
    found = [
        squared_distances(rows[span], others).topk(number, dim=1, largest=False)
        for span in pieces(len(rows), len(others), rows.element_size())
    ]
    if not found:
        return rows.new_empty(0, number), torch.empty(0, number, dtype=torch.int64)
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])

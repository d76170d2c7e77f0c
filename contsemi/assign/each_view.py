"""An assignment over the images of a batch, made of each of their views by itself."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Assignment(Protocol):
    """Scores [B, K], and those of a queue [M, K] that count beside them -> probabilities [B, K]."""

    def __call__(self, scores: Tensor, *, queue: Tensor | None) -> Tensor:
        """The probabilities."""


def each_view(
    assign: Assignment, scores: Tensor, *, batch_size: int, queue: Tensor | None = None
) -> Tensor:
    """What an assignment says of each view of a batch.

    Args:
        assign: such as :func:`~contsemi.assign.sinkhorn.sinkhorn` with its options.
        scores: [V * B, K], view-major.
        batch_size: B > 0.
        queue: [V, M, K] scores of earlier images in the same views; ``None`` for none.

    Returns:
        [V * B, K].

    >>> each_view(lambda scores, queue: scores.softmax(0), torch.zeros(4, 1), batch_size=2)[:, 0]
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    views = torch.split(scores, batch_size)
    queues: Sequence[Tensor | None] = [None] * len(views) if queue is None else list(queue)
    return torch.cat([assign(v, queue=rows) for v, rows in zip(views, queues, strict=True)])

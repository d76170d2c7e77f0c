"""TSP: one attention layer over a task's examples, in training alone."""

import math

from torch import Tensor, nn


class TaskAttention(nn.Module):
    """[T, N, D] to [T, N, D]: each row of a task adapts to the others.

    Multi-head attention without biases but in the last layer, added to its input, then
    LayerNorm.

    Args:
        width: D, a multiple of the heads.
        heads: of the attention.
        dropout: of the output.
        attention_dropout: of the weights of the attention.

    Raises:
        ValueError: the width is no multiple of the heads.

    Source: Ye, Han and Zhan 2022, section 5 (task-specific projection head).
    """

    def __init__(self, width: int, *, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is no multiple of {heads} heads")
        self.heads = heads
        self.queries, self.keys, self.values = (
            nn.Linear(width, width, bias=False) for _ in range(3)
        )
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout, self.attention_dropout = nn.Dropout(dropout), nn.Dropout(attention_dropout)
        deviation = math.sqrt(2 / (width + width / heads))
        for layer in (self.queries, self.keys, self.values):
            nn.init.normal_(layer.weight, std=deviation)
        nn.init.xavier_normal_(self.out.weight)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows of the tasks, supports and queries together."""

        def split(x: Tensor) -> Tensor:
            return x.view(*x.shape[:-1], self.heads, -1).transpose(-3, -2)

        query, key, value = (split(x(rows)) for x in (self.queries, self.keys, self.values))
        weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
        found = (self.attention_dropout(weights) @ value).transpose(-3, -2).flatten(-2)
        adapted: Tensor = self.norm(self.dropout(self.out(found)) + rows)
        return adapted

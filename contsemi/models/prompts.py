"""Deep prompts: learned tokens that every layer of a vision transformer finds anew."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Prompts(nn.Module):
    """Tokens behind the class token; what a layer makes of them gives way to the next layer's own.

    Args:
        layers: of the transformer.
        number: P, tokens of each layer.
        width: D, of a token.
        patch: side of a patch in pixels; it decides how widely the tokens are drawn.

    Source: Jia et al. 2022, "Visual prompt tuning", section 3.2 (deep); Zhang et al. 2023.
    """

    def __init__(self, layers: int, number: int, width: int, *, patch: int) -> None:
        super().__init__()
        self.number = number
        bound = math.sqrt(6 / (3 * patch * patch + width))
        self.tokens = nn.Parameter(torch.empty(layers, number, width).uniform_(-bound, bound))

    def forward(self, x: Tensor, layers: Iterable[nn.Module]) -> Tensor:
        """Tokens through all layers.

        Args:
            x: [N, 1 + T, D], the class token first.
            layers: each maps [N, M, D] to the same.

        Returns:
            [N, 1 + P + T, D], with what the last layer made of its prompts.
        """
        first, rest = x[:, :1], x[:, 1:]
        for prompts, layer in zip(self.tokens, layers, strict=True):
            own = prompts.expand(len(x), -1, -1)
            x = layer(torch.cat([first, own, rest], dim=1))
            first, rest = x[:, :1], x[:, 1 + self.number :]
        return x

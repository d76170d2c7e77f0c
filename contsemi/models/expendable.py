"""Heads that a loss stands on and that nobody asks once training is over."""

import torch.nn.functional as F
from torch import Tensor, nn


class Unit(nn.Module):
    """Rows [N, D] brought to unit length."""

    def forward(self, rows: Tensor) -> Tensor:
        """The same directions."""
        return F.normalize(rows, dim=1)


def normalised_projector(
    num_features: int, *, layers: int, hidden: int, size: int
) -> nn.Sequential:
    """Unit features, ``layers`` times Linear-BatchNorm-GELU, and a linear map without bias.

    Args:
        num_features: width of the input.
        layers: hidden ones; 0 for the linear map alone.
        hidden: their width.
        size: width of the output.

    Source: Sariyildiz et al. 2023, section 3.1 (t-ReX).
    """
    parts: list[nn.Module] = [Unit()]
    for _ in range(layers):
        parts += [nn.Linear(num_features, hidden), nn.BatchNorm1d(hidden), nn.GELU()]
        num_features = hidden
    return nn.Sequential(*parts, nn.Linear(num_features, size, bias=False))


def regressor(num_features: int, *, layers: int, linear: bool = False) -> nn.Sequential:
    """F-2F-F once (2 layers) or twice (4), BatchNorm and ReLU after each widening layer alone.

    Args:
        num_features: F.
        layers: 2 or 4.
        linear: whether there is neither BatchNorm nor ReLU, as in the released code for 2 layers.

    Source: Navaneet et al. 2021, section 3 (SimReg).
    """
    parts: list[nn.Module] = []
    for _ in range(layers // 2):
        parts.append(nn.Linear(num_features, 2 * num_features))
        parts += [] if linear else [nn.BatchNorm1d(2 * num_features), nn.ReLU()]
        parts.append(nn.Linear(2 * num_features, num_features))
    return nn.Sequential(*parts)

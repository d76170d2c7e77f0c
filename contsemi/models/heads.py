"""Heads that stand on a backbone: the MLP of projector and predictor, prototypes, classifier."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Classifier", "Prototypes", "mlp"]


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


def mlp(
    num_features: int, widths: Sequence[int], *, norm: bool = True, activation: str = "relu"
) -> nn.Sequential:
    """Linear-BatchNorm-activation for all widths but the last, which is linear only (with biases).

    Args:
        num_features: width of the input.
        widths: widths of the layers; the last is that of the output.
        norm: whether hidden layers have a BatchNorm (DINO's have none).
        activation: ``relu`` or ``gelu``.
    """
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers.append(nn.Linear(num_features, width))
        layers += [nn.BatchNorm1d(width)] if norm else []
        layers.append(ACTIVATIONS[activation]())
        num_features = width
    return nn.Sequential(*layers, nn.Linear(num_features, widths[-1]))


def _grown(old: nn.Parameter, new: Tensor) -> nn.Parameter:
    """A parameter with the rows of ``old``, bit for bit, and those of ``new`` below them."""
    rows = torch.cat([old.detach(), new.to(device=old.device, dtype=old.dtype)])
    return nn.Parameter(rows, requires_grad=old.requires_grad)


class Prototypes(nn.Module):
    """One direction per class or cluster; scores are cosines of embeddings and directions.

    Args:
        embedding_size: D.
        directions: what keeps the rows on the unit sphere. ``unit``: :meth:`after_step` puts them
            back there after the optimiser moved them off; the gradient is not projected (SwAV).
            ``weight_norm``: each forward divides by their length (DINO). ``gain``: so too, times
            one learned factor a row (DINO with ``norm_last_layer=False``).

    Attributes:
        weight: [C, D].
        gain: [C], ones at first; only with ``gain``.

    Source: Caron et al. 2020 (SwAV); Caron et al. 2021 (DINO).
    """

    def __init__(self, embedding_size: int, directions: str = "unit") -> None:
        super().__init__()
        self.directions = directions
        self.weight = nn.Parameter(torch.empty(0, embedding_size))
        if directions == "gain":
            self.gain = nn.Parameter(torch.empty(0))

    def rows(self) -> Tensor:
        """[C, D], whose products with unit embeddings are the scores, gains included."""
        with torch.autocast(self.weight.device.type, enabled=False):
            weight: Tensor = self.weight
            if self.directions != "unit":
                weight = F.normalize(weight, dim=1)
            return self.gain[:, None] * weight if self.directions == "gain" else weight

    def forward(self, embeddings: Tensor, rows: Tensor | None = None) -> Tensor:
        """Cosines [N, C] of embeddings [N, D], in the precision of the weight.

        Args:
            embeddings: [N, D], normalised here.
            rows: of :meth:`rows`, if they are at hand.
        """
        rows = self.rows() if rows is None else rows
        # A bf16 cosine has three digits, which a temperature of 0.1 makes two.
        with torch.autocast(embeddings.device.type, enabled=False):
            return F.linear(F.normalize(embeddings.to(rows.dtype), dim=1), rows)

    def grow(self, num_classes: int, generator: torch.Generator) -> None:
        """Adds uniformly drawn directions on the right until there are ``num_classes``."""
        shape = (num_classes - len(self.weight), self.weight.shape[1])
        new = torch.randn(shape, generator=generator, device=generator.device)
        # DINO's rows start short, which makes their first steps long.
        new = F.normalize(new, dim=1) if self.directions == "unit" else 0.02 * new
        self.weight = _grown(self.weight, new)
        if self.directions == "gain":
            self.gain = _grown(self.gain, torch.ones(len(new)))

    @torch.no_grad()
    def after_step(self) -> None:
        """Puts the rows back on the unit sphere, in place, where no forward does so."""
        if self.directions == "unit":
            self.weight.copy_(F.normalize(self.weight, dim=1))


class Classifier(nn.Module):
    """One linear logit per class.

    Args:
        num_features: F.

    Attributes:
        weight: [C, F].
        bias: [C].
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, num_features))
        self.bias = nn.Parameter(torch.empty(0))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [N, C] of features [N, F]."""
        return F.linear(features, self.weight, self.bias)

    def grow(self, num_classes: int, generator: torch.Generator) -> None:
        """Adds rows drawn as in ``torch.nn.Linear`` until there are ``num_classes``."""
        num_features = self.weight.shape[1]
        shape = (num_classes - len(self.weight), num_features + 1)
        new = torch.rand(shape, generator=generator, device=generator.device)
        new = (2 * new - 1) / math.sqrt(num_features)
        self.weight = _grown(self.weight, new[:, :-1])
        self.bias = _grown(self.bias, new[:, -1])

"""Heads that stand on a backbone: declarations, and the layers that the usual ones are made of.

The usual ones:

projector: MLP of the features, embeddings [N, D], not normalised.
predictor: small MLP of the embeddings, [N, D].
auxiliary: a second MLP of the features, of the projector's shape, [N, D].
mapped: linear map of the embeddings, [N, D], for the space of the frozen past.
prototypes: cosines [N, C] of embeddings and one unit direction per class.
clusters: cosines [N, K] of embeddings and directions that stand for no class; a method declares
    them by :func:`clusters`.
classifier: logits [N, C] of the features.

Those of each class have none at first. A method declares others where it stands, or one of these
names for a variant of it.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contsemi.models.initialise import only_sizes
from contsemi.types import Head

__all__ = [
    "USUAL",
    "Classifier",
    "Head",
    "Prototypes",
    "classifier",
    "clusters",
    "mlp",
    "prototypes",
    "usual_heads",
]

USUAL = ("projector", "predictor", "auxiliary", "mapped", "prototypes", "clusters", "classifier")


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
        if only_sizes():
            self.weight = nn.Parameter(torch.empty(num_classes, shape[1]))
            return
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


def prototypes(directions: str = "unit") -> Head:
    """Declares the head ``prototypes``, whose directions stay on the sphere in a way of its own."""
    return Head(
        name="prototypes",
        on="projector",
        build=lambda width, draw: Prototypes(width, directions),
        per_class=True,
    )


def clusters(number: int, directions: str = "unit") -> Head:
    """Declares the head ``clusters`` of so many directions that stand for no class."""

    def build(width: int, draw: torch.Generator) -> nn.Module:
        made = Prototypes(width, directions)
        made.grow(number, draw)
        return made

    return Head(name="clusters", on="projector", build=build)


def classifier(*, detached: bool = False) -> Head:
    """Declares the head ``classifier``, which may leave the features alone."""
    return Head(
        name="classifier",
        on="features",
        build=lambda width, draw: Classifier(width),
        per_class=True,
        detached=detached,
    )


def usual_heads(
    projector: Sequence[int],
    predictor: Sequence[int] | None = None,
    *,
    norm: bool = True,
    activation: str = "relu",
) -> Mapping[str, Head]:
    """The heads that a method may ask for by their mere names.

    Args:
        projector: widths of the projector's layers; the last is D.
        predictor: widths of the predictor's hidden layers; ``None`` for one of width D.
        norm: of the hidden layers of all MLPs; see :func:`mlp`.
        activation: the same.
    """
    size = projector[-1]
    layers = partial(mlp, norm=norm, activation=activation)
    hidden = [size] if predictor is None else predictor

    def make(name: str, on: str, widths: Sequence[int]) -> Head:
        return Head(name=name, on=on, build=lambda width, draw: layers(width, widths))

    heads = (
        make("projector", "features", projector),
        make("predictor", "projector", [*hidden, size]),
        make("auxiliary", "features", projector),
        Head(name="mapped", on="projector", build=lambda width, draw: nn.Linear(width, size)),
        prototypes(),
        classifier(),
    )
    return {head.name: head for head in heads}

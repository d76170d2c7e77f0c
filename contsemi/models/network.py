"""A backbone with the heads that objectives and distillers ask for."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from contsemi.models.heads import Classifier, Prototypes, mlp
from contsemi.models.initialise import drawing_from
from contsemi.types import Outputs

__all__ = ["HEADS", "Network", "freeze_batch_norm"]

HEADS = ("projector", "predictor", "auxiliary", "mapped", "prototypes", "clusters", "classifier")
ON_PROJECTOR = ("predictor", "mapped", "prototypes", "clusters")


class Network(nn.Module):
    """Images to features, and features to the outputs of named heads.

    projector: MLP of the features, embeddings [N, D], not normalised.
    predictor: small MLP of the embeddings, [N, D].
    auxiliary: a second MLP of the features, of the projector's shape, [N, D].
    mapped: linear map of the embeddings, [N, D], for the space of the frozen past.
    prototypes: cosines [N, C] of embeddings and one unit direction per class.
    clusters: cosines [N, K] of embeddings and directions that stand for no class.
    classifier: logits [N, C] of the features.

    Prototypes and classifier have no class at first: see :meth:`grow`.

    Args:
        backbone: maps [N, 3, s, s] to [N, F] and has the attribute ``num_features`` = F.
        heads: which to build; those that stand on the projector bring it.
        projector: widths of the projector's layers; the last is D.
        generator: draws the weights; on the CPU.
        predictor: widths of the predictor's hidden layers; ``None`` for one of width D.
        norm, activation: of the hidden layers of all MLPs; see :func:`~.heads.mlp`.
        clusters: K.
        directions: of prototypes and clusters; see :class:`~.heads.Prototypes`.
        detached: heads from which no gradient goes on to what they stand on.

    Attributes:
        heads: the heads that were built.
        num_classes: C.

    Raises:
        ValueError: a head has an unknown name.
    """

    def __init__(
        self,
        backbone: nn.Module,
        heads: Sequence[str],
        projector: Sequence[int],
        generator: torch.Generator,
        *,
        predictor: Sequence[int] | None = None,
        norm: bool = True,
        activation: str = "relu",
        clusters: int = 0,
        directions: str = "unit",
        detached: Sequence[str] = (),
    ) -> None:
        super().__init__()
        wanted = _with_projector(heads)
        self.heads = tuple(name for name in HEADS if name in wanted)
        self.detached = frozenset(detached)
        self.num_features = int(backbone.num_features)  # type: ignore[arg-type]
        self.num_classes = 0
        self.backbone = backbone
        layers = partial(mlp, norm=norm, activation=activation)
        size = projector[-1]
        hidden = [size] if predictor is None else predictor
        make: dict[str, Callable[[], nn.Module]] = {
            "projector": lambda: layers(self.num_features, projector),
            "predictor": lambda: layers(size, [*hidden, size]),
            "auxiliary": lambda: layers(self.num_features, projector),
            "mapped": lambda: nn.Linear(size, size),
            "prototypes": lambda: Prototypes(size, directions),
            "clusters": lambda: Prototypes(size, directions),
            "classifier": lambda: Classifier(self.num_features),
        }
        with drawing_from(generator):
            for name in self.heads:
                self.add_module(name, make[name]())
        if "clusters" in self.heads:
            self.get_submodule("clusters").grow(clusters, generator)  # type: ignore[operator]

    def forward(self, images: Tensor, heads: Sequence[str]) -> Outputs:
        """Features of the images and the outputs of the heads asked for, and of no other.

        Args:
            images: float [N, 3, s, s].
            heads: names; those that stand on the projector bring its output along.

        Raises:
            ValueError: the network was built without one of these heads.
        """
        return self.outputs(self.backbone(images), heads)

    def outputs(self, features: Tensor, heads: Sequence[str]) -> Outputs:
        """The second half of :meth:`forward`: what the heads make of features [N, F]."""
        wanted = _with_projector(heads)
        if missing := wanted - set(self.heads):
            raise ValueError(f"this network has the heads {self.heads}, not {sorted(missing)}")
        outputs: dict[str, Tensor] = {}
        directions: dict[str, Tensor] = {}
        for name in self.heads:
            if name in wanted:
                source = outputs["projector"] if name in ON_PROJECTOR else features
                if name in self.detached:
                    source = source.detach()
                head = self.get_submodule(name)
                if isinstance(head, Prototypes):
                    rows = head.rows()
                    outputs[name], directions[name] = head(source, rows), rows.detach()
                else:
                    outputs[name] = head(source)
        return Outputs(features, outputs, directions)

    def _class_heads(self) -> Iterator[Prototypes | Classifier]:
        for name, module in self.named_children():
            if name != "clusters" and isinstance(module, Prototypes | Classifier):
                yield module

    def grow(self, num_classes: int, generator: torch.Generator) -> None:
        """Adds classes on the right until there are ``num_classes``; old rows stay bit-equal.

        The grown parameters are new objects: an optimiser has to be made anew, and its state
        carried over by ``contsemi.learner.optimisers.carry_state``.

        Args:
            num_classes: at least the present number.
            generator: draws the new rows; on any device.

        Raises:
            ValueError: fewer classes are asked for than there are.
        """
        if num_classes < self.num_classes:
            raise ValueError(f"cannot shrink from {self.num_classes} to {num_classes} classes")
        if num_classes > self.num_classes:
            for head in self._class_heads():
                head.grow(num_classes, generator)
            self.num_classes = num_classes

    def class_parameters(self) -> list[nn.Parameter]:
        """The parameters with one row per class, in a fixed order."""
        return [p for head in self._class_heads() for p in head.parameters()]

    def after_step(self) -> None:
        """To be called after each step of the optimiser: prototypes return to the unit sphere."""
        for head in self.children():
            if isinstance(head, Prototypes):
                head.after_step()

    def direction_parameters(self) -> list[nn.Parameter]:
        """The parameters of prototypes and clusters."""
        found = [head for head in self.children() if isinstance(head, Prototypes)]
        return [p for head in found for p in head.parameters()]


def freeze_batch_norm(module: nn.Module) -> None:
    """BatchNorm goes on with its running statistics; its scale and shift still learn."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()


def _with_projector(heads: Sequence[str]) -> set[str]:
    """The heads asked for and the projector where one of them stands on it."""
    if unknown := set(heads) - set(HEADS):
        raise ValueError(f"unknown heads {sorted(unknown)}; there are {HEADS}")
    needs_projector = any(name in ON_PROJECTOR for name in heads)
    return {*heads, *(("projector",) if needs_projector else ())}

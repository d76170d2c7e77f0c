"""A backbone with the heads that objectives and distillers ask for."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from contsemi.models.heads import Classifier, Prototypes, mlp
from contsemi.models.initialise import drawing_from
from contsemi.types import Outputs

__all__ = ["HEADS", "Network"]

HEADS = ("projector", "predictor", "prototypes", "classifier")
ON_PROJECTOR = ("predictor", "prototypes")


class Network(nn.Module):
    """Images to features, and features to the outputs of named heads.

    projector: MLP of the features, embeddings [N, D], not normalised.
    predictor: small MLP of the embeddings, [N, D].
    prototypes: cosines [N, C] of embeddings and one unit direction per class.
    classifier: logits [N, C] of the features.

    Prototypes and classifier have no class at first: see :meth:`grow`.

    Args:
        backbone: maps [N, 3, s, s] to [N, F] and has the attribute ``num_features`` = F.
        heads: which of the four to build; predictor and prototypes bring the projector.
        projector: widths of the projector's layers; the last is D.
        generator: draws the weights; on the CPU.

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
    ) -> None:
        super().__init__()
        wanted = _with_projector(heads)
        self.heads = tuple(name for name in HEADS if name in wanted)
        self.num_features = int(backbone.num_features)  # type: ignore[arg-type]
        self.num_classes = 0
        self.backbone = backbone
        with drawing_from(generator):
            for name in self.heads:
                self.add_module(name, self._head(name, projector))

    def _head(self, name: str, projector: Sequence[int]) -> nn.Module:
        if name == "projector":
            return mlp(self.num_features, projector)
        if name == "predictor":
            return mlp(projector[-1], [projector[-1], projector[-1]])
        return Prototypes(projector[-1]) if name == "prototypes" else Classifier(self.num_features)

    def forward(self, images: Tensor, heads: Sequence[str]) -> Outputs:
        """Features of the images and the outputs of the heads asked for, and of no other.

        Args:
            images: float [N, 3, s, s].
            heads: names; predictor and prototypes bring the projector's output along.

        Raises:
            ValueError: the network was built without one of these heads.
        """
        wanted = _with_projector(heads)
        if missing := wanted - set(self.heads):
            raise ValueError(f"this network has the heads {self.heads}, not {sorted(missing)}")
        features = self.backbone(images)
        outputs: dict[str, Tensor] = {}
        for name in self.heads:
            if name in wanted:
                source = outputs["projector"] if name in ON_PROJECTOR else features
                outputs[name] = self.get_submodule(name)(source)
        return Outputs(features, outputs)

    def _class_heads(self) -> Iterator[Prototypes | Classifier]:
        for module in self.children():
            if isinstance(module, Prototypes | Classifier):
                yield module

    def grow(self, num_classes: int, generator: torch.Generator) -> None:
        """Adds classes on the right until there are ``num_classes``; old rows stay bit-equal.

        The grown parameters are new objects: an optimiser has to be made anew, and its state
        carried over by ``contsemi.engine.optimisers.carry_state``.

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
        for head in self._class_heads():
            if isinstance(head, Prototypes):
                head.after_step()


def _with_projector(heads: Sequence[str]) -> set[str]:
    """The heads asked for and the projector where one of them stands on it."""
    if unknown := set(heads) - set(HEADS):
        raise ValueError(f"unknown heads {sorted(unknown)}; there are {HEADS}")
    needs_projector = any(name in ON_PROJECTOR for name in heads)
    return {*heads, *(("projector",) if needs_projector else ())}

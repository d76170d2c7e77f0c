"""A backbone with the heads that objectives and distillers ask for."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from contsemi.errors import InputError
from contsemi.models.heads import USUAL, Prototypes, usual_heads
from contsemi.models.initialise import drawing_from
from contsemi.types import Head, Outputs


class Network(nn.Module):
    """Images to features, and features to the outputs of named heads.

    Heads of each class have no class at first: see :meth:`grow`.

    Args:
        backbone: maps [N, 3, s, s] to [N, F] and has the attribute ``num_features`` = F. It may
            hand out more than that: the attribute ``extras``, name -> width, and the method
            ``with_extras``, images -> features and name -> [N, ..., width]. An attribute ``side``
            says that it takes images of that side alone.
        heads: which to build: usual ones by name, others by declaration; those that stand on
            others bring these along. An extra of the backbone may be asked for like a head.
        projector: widths of the projector's layers; the last is D.
        generator: draws the weights; on the CPU.
        predictor, norm, activation: of the usual heads; see :func:`~.heads.usual_heads`.

    Attributes:
        frozen: whether the backbone says of itself that it is never trained.
        heads: the heads that were built, each after what it stands on.
        num_classes: C.

    Raises:
        InputError: there is no such head.
    """

    def __init__(
        self,
        backbone: nn.Module,
        heads: Sequence[str | Head],
        projector: Sequence[int],
        generator: torch.Generator,
        *,
        predictor: Sequence[int] | None = None,
        norm: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.num_features = int(backbone.num_features)  # type: ignore[arg-type]
        self.num_classes = 0
        self.backbone = backbone
        self.frozen = bool(getattr(backbone, "frozen", False))
        if self.frozen:
            backbone.requires_grad_(False)
        self.extras: Mapping[str, int] = dict(getattr(backbone, "extras", {}))
        usual = usual_heads(projector, predictor, norm=norm, activation=activation)
        self._declared = _in_order(heads, usual, self.extras)
        self.heads = tuple(self._declared)
        self._known: dict[tuple[str, ...], frozenset[str]] = {}
        widths = {"features": self.num_features, **self.extras}
        with drawing_from(generator):
            for name, head in self._declared.items():
                made = head.build(widths[head.on], generator)
                self.add_module(name, made)
                if any(other.on == name for other in self._declared.values()):
                    widths[name] = _width(made, widths[head.on])

    def train(self, mode: bool = True) -> "Network":
        """As always, but for a frozen backbone, whose statistics stay as they are."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor, heads: Sequence[str]) -> Outputs:
        """Features of the images and the outputs of the heads asked for, and of no other.

        Args:
            images: float [N, 3, s, s].
            heads: names; those that stand on others bring their outputs along.

        Raises:
            InputError: the network was built without one of these heads.
        """
        if self.asks_extras(heads):
            return self.outputs(*self.backbone.with_extras(images), heads=heads)  # type: ignore[operator]
        return self.outputs(self.backbone(images), heads=heads)

    def asks_extras(self, heads: Sequence[str]) -> bool:
        """Whether more of the backbone than its features is asked for."""
        return bool(self.extras) and not self.extras.keys().isdisjoint(self._asked(heads))

    def outputs(
        self,
        features: Tensor,
        extras: Mapping[str, Tensor] | None = None,
        *,
        heads: Sequence[str],
    ) -> Outputs:
        """The second half of :meth:`forward`: what the heads make of features [N, F]."""
        wanted = self._asked(heads)
        given = {} if extras is None else extras
        outputs = {name: value for name, value in given.items() if name in wanted}
        directions: dict[str, Tensor] = {}
        for name, head in self._declared.items():
            if name in wanted:
                source = features if head.on == "features" else outputs[head.on]
                if head.detached:
                    source = source.detach()
                module: nn.Module = getattr(self, name)
                if isinstance(module, Prototypes):
                    rows = module.rows()
                    outputs[name], directions[name] = module(source, rows), rows.detach()
                else:
                    outputs[name] = module(source)
        return Outputs(features, outputs, directions)

    def _asked(self, heads: Sequence[str]) -> frozenset[str]:
        """The heads and extras asked for, and those that they stand on."""
        known = self._known.get(key := tuple(heads))
        if known is None:
            known = self._known[key] = frozenset(_with_sources(key, self._declared, self.extras))
        return known

    def _class_heads(self) -> list[nn.Module]:
        return [self.get_submodule(n) for n, head in self._declared.items() if head.per_class]

    def grow(self, num_classes: int, generator: torch.Generator) -> None:
        """Adds classes on the right until there are ``num_classes``; old rows stay bit-equal.

        The grown parameters are new objects: an optimiser has to be made anew, and its state
        carried over by ``contsemi.learner.optimisers.restore``.

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
                head.grow(num_classes, generator)  # type: ignore[operator]
            self.num_classes = num_classes

    def class_parameters(self) -> list[nn.Parameter]:
        """The parameters with one row per class, in a fixed order."""
        return [p for head in self._class_heads() for p in head.parameters()]

    def after_step(self) -> None:
        """To be called after each step of the optimiser: prototypes return to the unit sphere."""
        for head in self._modules.values():
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


def _in_order(
    heads: Sequence[str | Head], usual: Mapping[str, Head], extras: Mapping[str, int]
) -> dict[str, Head]:
    """All heads to build, the usual names first, each after what it stands on."""
    declared = {head.name: head for head in heads if isinstance(head, Head)}
    table = {**usual, **declared}
    names = [head if isinstance(head, str) else head.name for head in heads]
    wanted = _with_sources(names, table, extras)
    order = [name for name in (*USUAL, *declared) if name in wanted and name in table]
    found: dict[str, Head] = {}

    def add(name: str) -> None:
        if name in table and name not in found:
            add(table[name].on)
            found[name] = table[name]

    for name in order:
        add(name)
    return found


def _with_sources(
    names: Sequence[str], table: Mapping[str, Head], extras: Mapping[str, int]
) -> set[str]:
    """Names of heads and extras, and all that they stand on.

    Raises:
        InputError: one of them is not there, or stands on itself.
    """
    found: set[str] = set()
    for name in names:
        chain = [name]
        while chain[-1] in table and table[chain[-1]].on != "features":
            chain.append(table[chain[-1]].on)
            if len(chain) > len(table) + 1:
                raise InputError("heads", f"{name} stands on itself", "declare what it stands on")
        if chain[-1] not in table and chain[-1] not in extras:
            known = ", ".join((*table, *extras))
            raise InputError("heads", f"there is no {chain[-1]!r}, only {known}", "use one of them")
        found.update(chain)
    return found


def _width(module: nn.Module, width: int) -> int:
    """The width of what a module makes of rows of this width."""
    was_training = module.training
    with torch.no_grad():
        made = cast(Tensor, module.eval()(torch.zeros(2, width)))
    module.train(was_training)
    return made.shape[-1]

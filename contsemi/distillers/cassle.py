"""CaSSLe: the loss of a self-supervised method, between present and frozen embeddings.

Source: Fini et al. 2022, "Self-supervised models are continual learners". A predictor carries the
present embeddings over into the past's space; the kind of loss is that of the host method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from contsemi.distillers.distiller import Distiller
from contsemi.errors import InputError
from contsemi.losses.cross_entropy import soft_cross_entropy
from contsemi.losses.decorrelation import decorrelation
from contsemi.losses.distil import feature_distillation
from contsemi.losses.mutual_contrast import mutual_contrast
from contsemi.losses.numerics import wide
from contsemi.losses.sphere import sphere_regression
from contsemi.models.heads import Head, Prototypes, mlp
from contsemi.types import Needs, Outputs, Step

KINDS = ("predictive", "contrastive", "decorrelative", "mse", "knowledge")
Pairs = Sequence[tuple[Outputs, Outputs]]


def _predictor(width: int, draw: torch.Generator, *, hidden: int) -> nn.Module:
    return mlp(width, [hidden, width])


def _directions(width: int, draw: torch.Generator, *, clusters: int) -> nn.Module:
    made = Prototypes(width, "gain")
    made.grow(clusters, draw)
    return made


@dataclass(kw_only=True, eq=False)
class Cassle(Distiller):
    """Distillation of embeddings, of one of five kinds."""

    idle: ClassVar = {
        "temperature": {"kind": ["predictive", "decorrelative", "mse"]},
        **{
            key: {"kind": ["predictive", "contrastive", "mse", "knowledge"]}
            for key in ("off_diagonal", "scale")
        },
        "host": {"kind": ["predictive", "contrastive", "decorrelative", "mse"]},
    }

    # predictive (BYOL, SimSiam), contrastive (SimCLR, MoCo), decorrelative (Barlow Twins), mse
    # (VICReg) or knowledge (SwAV, DINO: needs prototypes or clusters)
    kind: str
    hidden: int  # width of the predictor's hidden layer
    temperature: float  # of contrastive (.2) and knowledge (.1)
    off_diagonal: float  # of decorrelative: weight of the correlations of two dimensions
    scale: float  # of decorrelative
    host: str  # of knowledge: the frozen head whose classes are kept, prototypes or clusters

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            problem = f"expected one of {', '.join(KINDS)}, got {self.kind!r}"
            raise InputError("distiller.kind", problem, "use predictive")
        predictor = Head(
            name="predicted_past",
            on="projector",
            build=partial(_predictor, hidden=self.hidden),
        )
        heads: list[str | Head] = ["projector", predictor]
        if self.kind == "knowledge":
            by_class = self.host == "prototypes"
            directions = Head(
                name="past_directions",
                on="predicted_past",
                build=partial(_directions, clusters=0),
                per_class=by_class,
            )
            heads += [self.host, directions]
        self.needs = Needs(heads=tuple(heads), pasts=1, labelled_from="all")

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``embeddings``: over all images that both networks saw, views counted alike."""
        pairs = step.with_past()
        if not pairs:
            return {}
        if self.kind == "decorrelative":
            return {"embeddings": self._decorrelative(step)}
        if self.kind == "knowledge":
            return {"embeddings": self._knowledge(pairs)}
        now = torch.cat([present["predicted_past"] for present, _ in pairs])
        then = torch.cat([past["projector"] for _, past in pairs])
        if self.kind == "contrastive":
            return {"embeddings": mutual_contrast(now, then, temperature=self.temperature)}
        loss = sphere_regression if self.kind == "predictive" else feature_distillation
        return {"embeddings": loss(now, then)}

    def _decorrelative(self, step: Step) -> Tensor:
        """The mean over views, each with correlations over its own rows."""
        losses = []
        for seen in step.seen.values():
            if seen.student is None or not seen.past:
                continue
            now = seen.student["predicted_past"].chunk(seen.number)
            then = seen.past[0]["projector"].detach().chunk(seen.number)
            losses += [
                decorrelation(*each, off_diagonal=self.off_diagonal, scale=self.scale)
                for each in zip(now, then, strict=True)
            ]
        return torch.stack(losses).mean()

    def _knowledge(self, pairs: Pairs) -> Tensor:
        """The frozen network's soft classes, by directions of their own; only those it knew."""
        then = torch.cat([past[self.host] for _, past in pairs])
        now = torch.cat([present["past_directions"] for present, _ in pairs])
        targets = (wide(then.detach()) / self.temperature).softmax(dim=1)
        return soft_cross_entropy(now[:, : targets.shape[1]], targets, temperature=self.temperature)

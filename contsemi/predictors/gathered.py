"""What predictors have in common that keep sums over the images of each task, and no image."""

from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.memory.expectation import expected_classes
from contsemi.memory.trust import Trust
from contsemi.predictors.predictor import Asked, Material, Predictor
from contsemi.types import Outputs


class Statistics(Protocol):
    """What is kept."""

    @property
    def memory_bytes(self) -> int:
        """Bytes of it."""

    def state(self) -> dict[str, Tensor]:
        """All tensors, for a checkpoint."""


_S = TypeVar("_S", bound=Statistics)


def unit(features: Tensor) -> Tensor:
    """Rows [n, F] of length one."""
    return functional.normalize(features.float(), dim=1)


def as_linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer of these weights [C, F], and of this bias [C]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.zero_() if bias is None else layer.bias.copy_(bias)
    return layer.requires_grad_(False)


@dataclass(kw_only=True, eq=False)
class Gathered(Predictor, Generic[_S]):
    """Statistics of the classes, to which each task adds its images.

    An image without a label counts for the classes that expectation and maximisation find for it
    (``rounds`` above 0), or else for those that the objective gives it.
    """

    idle: ClassVar = {key: {"rounds": [0]} for key in ("balance", "shrinkage")}

    rounds: int  # of expectation and maximisation; 0 believes the objective
    balance: int  # passes that bring the soft classes of a task to equal shares, in each round
    normalise: bool  # features to length one
    shrinkage: float | Literal["auto"]  # share of a round covariance; auto by the images there are
    folds: int  # in which a task's labelled images are left out to find how sure to be; 0 for none

    # Statistics that do not follow the features are right only while these stay as they are.
    needs_still: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.kept: _S | None = None
        self._present: _S | None = None
        self.trust: Trust | None = None

    def joined(self, kept: _S | None, features: Tensor, probs: Tensor) -> _S:
        """What is kept, and more images.

        Args:
            kept: ``None`` for nothing.
            features: [n, F].
            probs: [n, C] soft labels; rows sum to 1, or to 0 where nothing is known.
        """
        raise NotImplementedError

    def made_of(self, state: dict[str, Tensor]) -> _S:
        """The statistics that were saved."""
        raise NotImplementedError

    def carried(self, kept: _S, material: Material) -> _S:
        """What is kept, in the features of now."""
        return kept

    def scores_by(self, statistics: _S, features: Tensor) -> Tensor:
        """Scores [N, C] of features [N, F] as they are taken."""
        raise NotImplementedError

    def strangeness(self, statistics: _S, features: Tensor) -> Tensor | None:
        """[N], how far images are from every class; ``None`` where that cannot be said."""
        return None

    def layers(self, statistics: _S) -> nn.Module | None:
        """The same as :meth:`scores_by` as layers of a network; ``None`` where that cannot be."""
        return None

    def scores(self, outputs: Outputs, asked: Asked) -> Tensor:
        """Scores [N, C] by the statistics of all seen classes."""
        return self.scores_by(self.statistics(asked), self.rows(outputs.features))

    def rows(self, features: Tensor) -> Tensor:
        """Features as this predictor takes them."""
        return unit(features) if self.normalise else features

    def statistics(self, asked: Asked) -> _S:
        """Of all seen classes, in the present network's features."""
        if asked.between_tasks and self.kept is not None:
            return self.kept
        if self._present is None:
            self._present = self.present(asked)
        return self._present

    @torch.no_grad()
    def present(self, asked: Asked) -> _S:
        """What is kept, carried into the features of now, and the task's images.

        Nothing of an earlier task is read but the exemplars.
        """
        material = self.as_taken(asked.material())
        kept = None if self.kept is None else self.carried(self.kept, material)
        return self._with(kept, material)

    def _with(self, kept: _S | None, material: Material) -> _S:
        probs = self.soft_classes(material)
        given = functional.one_hot(material.labels, probs.shape[1]).to(probs.dtype)
        features = torch.cat([material.features, material.labelled])
        return self.joined(kept, features, torch.cat([probs, given]))

    @torch.no_grad()
    def _left_out(self, asked: Asked) -> Trust | None:
        """What is said of labelled images by statistics that do not know their labels."""
        material = self.as_taken(asked.material())
        if not self.folds or len(material.labels) < 2:
            return self.trust
        kept = None if self.kept is None else self.carried(self.kept, material)
        fold = _folds(material.labels, self.folds)
        logits, labels, strange = [], [], []
        for number in range(self.folds):
            out = fold == number
            if not out.any() or out.all():
                continue
            known = replace(
                material, labelled=material.labelled[~out], labels=material.labels[~out]
            )
            statistics = self._with(kept, known)
            logits.append(self.scores_by(statistics, material.labelled[out]))
            labels.append(material.labels[out])
            if (far := self.strangeness(statistics, material.labelled[out])) is not None:
                strange.append(far)
        if not logits:
            return self.trust
        found = Trust.of(
            torch.cat(logits), torch.cat(labels), torch.cat(strange or [logits[0][:0, 0]])
        )
        return found if self.trust is None else self.trust.joined(found)

    def as_taken(self, material: Material) -> Material:
        """The same images with features as this predictor takes them."""
        moved = material.moved
        if moved is not None:
            moved = self.rows(moved[0]), self.rows(moved[1]), moved[2]
        features, labelled = self.rows(material.features), self.rows(material.labelled)
        return replace(material, features=features, labelled=labelled, moved=moved)

    def soft_classes(self, material: Material) -> Tensor:
        """[n, C] of the images without a label."""
        if not self.rounds:
            return material.probs
        columns = material.columns
        if columns is None:
            problem = "is above 0, and images of other tasks' classes are among the unlabelled"
            raise InputError("predict.rounds", problem, "set it to 0, or scenario.unlabelled")
        free = ~material.known
        local = (material.labels[:, None] == columns).int().argmax(1)
        found = expected_classes(
            material.features[free],
            material.labelled,
            local,
            num_classes=len(columns),
            rounds=self.rounds,
            balance=self.balance,
            shrinkage=self.shrinkage,
        )
        probs = torch.zeros_like(material.probs, dtype=found.dtype)
        probs[free.nonzero(), columns] = found
        return probs

    def changed(self) -> None:
        """They are worked out anew."""
        self._present = None

    def end(self, asked: Asked) -> None:
        """Keeps the present ones, and how far they are to be trusted."""
        trust = self._left_out(asked) if self.folds else None
        self.kept, self.trust = self.statistics(asked), trust

    @property
    def memory_bytes(self) -> int:
        """Of what is kept."""
        return 0 if self.kept is None else self.kept.memory_bytes

    def state(self) -> dict[str, Tensor]:
        """Its tensors."""
        if self.kept is None:
            return {}
        return self.kept.state() | ({} if self.trust is None else self.trust.state())

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes them back."""
        # Copies begin where memory is aligned: products of others may differ in their last bits.
        state = {name: value.clone() for name, value in state.items()}
        self.trust, rest = Trust.taken_from(state)
        self.kept = self.made_of(rest) if rest else None


def _folds(labels: Tensor, folds: int) -> Tensor:
    """int64 [L], the fold of each image: those of a class are dealt out in turn."""
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    starts = (counts.cumsum(0) - counts)[labels[order]]
    found = torch.empty_like(labels)
    found[order] = (torch.arange(len(labels), device=labels.device) - starts) % folds
    return found

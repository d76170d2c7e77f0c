"""Probes of the frozen features of any Avalanche strategy, after each experience.

Nearest neighbours, a linear classifier, few-shot episodes and clusters say what the features are
worth, whatever the head has forgotten. They know true labels; training does not see them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from avalanche.evaluation.metric_definitions import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from torch import Tensor, nn

from contsemi.data.scenario import TestSet
from contsemi.errors import InputError
from contsemi.evaluation.probing import Probes
from contsemi.evaluation.trace import fixed_subset
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.clustering import Clustering
from contsemi.metrics.probes.few_shot import FewShot
from contsemi.metrics.probes.knn import Knn
from contsemi.metrics.probes.linear import Linear
from contsemi.metrics.probes.probe import Probe
from contsemi.stores.store import Images
from contsemi.strategies.doors import labelled_of

Features = Callable[[nn.Module, Tensor], Tensor]

# With the values of conf/evaluate/probes/, which pipelines of others do not read.
USUAL = (
    Knn(neighbours=[1, 20, 200], within=20),
    Linear(),
    FewShot(ways=5, shots=[1, 5, 20], queries=15, episodes=600, similarity="sns"),
    Clustering(),
)


def probe_metrics(
    train_stream: Any,
    test_stream: Any,
    features: Features,
    *,
    probes: Sequence[Probe] = USUAL,
    images: int = 1000,
    seed: int = 0,
) -> "list[ProbeMetrics]":
    """The probes, as Avalanche's own factories return their metrics.

    Args:
        train_stream: labelled images that the probes may learn from.
        test_stream: images that they are asked, in the same order of experiences.
        features: from the strategy's model and a batch of images to rows [N, F].
        probes: any; those that are usual if none are given.
        images: taken at random from each stream, shared out over experiences; 0 for all.
        seed: of that draw, and of the episodes and clusters.

    Raises:
        InputError: one is no probe, ``features`` is no function, a stream has no labels, or the
            streams are not equally long.
    """
    for probe in probes:
        if not isinstance(probe, Probe):
            fix = "give probes of contsemi.metrics.probes"
            raise InputError("probe_metrics(probes)", f"{str(probe)[:40]!r} is none", fix)
    if not callable(features):
        fix = "give a function of the model and a batch of images"
        raise InputError("probe_metrics(features)", f"{str(features)[:40]!r} is none", fix)
    train_exps = labelled_of(train_stream, "probe_metrics(train_stream)")
    test_exps = labelled_of(test_stream, "probe_metrics(test_stream)")
    if len(train_exps) != len(test_exps):
        raise InputError(
            "probe_metrics(test_stream)",
            f"{len(test_exps)} experiences, but {len(train_exps)} are trained",
            "give two streams of one benchmark, with a test experience for each that is trained",
        )
    bank, bank_images = _gathered(train_exps, images, seed)
    test, test_images = _gathered(test_exps, images, seed)
    asked = Probes(
        probes=probes,
        bank=bank,
        bank_images=bank_images,
        test=test,
        test_images=test_images,
        seed=seed,
    )
    return [ProbeMetrics(asked, features)]


class ProbeMetrics(PluginMetric):  # type: ignore[misc]
    """Asks the probes whenever an experience has been trained.

    Experiences are expected in the order of their stream: those up to the newest count as seen.

    Args:
        probes: with the images that they know.
        features: see :func:`probe_metrics`.
    """

    def __init__(self, probes: Probes, features: Features) -> None:
        super().__init__()
        self.probes, self.features = probes, features
        self.last: dict[str, float] = {}

    def reset(self) -> None:
        """Forgets the last values."""
        self.last = {}

    def result(self) -> dict[str, float]:
        """The values that were emitted last."""
        return dict(self.last)

    def after_training_exp(self, strategy: Any) -> list[Any]:
        """Asks, and emits what is defined."""
        seen = int(strategy.experience.current_experience) + 1
        model = _Frozen(strategy.model, self.features, strategy.device, strategy.eval_mb_size)
        trained = {column for task in self.probes.bank[:seen] for column in task.columns}
        found = self.probes.ask(model, seen, trained)
        self.last = {
            f"probe/{name}": value
            for name, value in found.items()
            if not isinstance(value, Undefined)
        }
        return [
            MetricValue(self, name, value, strategy.clock.train_iterations)
            for name, value in self.last.items()
        ]

    def __str__(self) -> str:
        return "contsemi probes"


@dataclass(frozen=True, slots=True)
class _Frozen:
    """A model of the user's as the probes see it."""

    model: nn.Module
    rows: Features
    device: Any
    batch: int

    @torch.no_grad()
    def features(self, images: Images, ids: Tensor | None = None) -> Tensor:
        assert isinstance(images, Tensor)
        images = images if ids is None else images[ids]
        training = self.model.training
        self.model.eval()
        batches = torch.split(images, self.batch)
        parts = [self.rows(self.model, each.to(self.device)) for each in batches]
        self.model.train(training)
        return torch.cat(parts)


def _gathered(stream: Any, images: int, seed: int) -> tuple[list[TestSet], Tensor]:
    """Some images of each experience, stacked, and where those of each stand."""
    tasks = []
    for experience in stream:
        targets = torch.as_tensor(list(experience.dataset.targets))
        columns = tuple(sorted(experience.classes_in_this_experience))
        tasks.append(TestSet(columns, torch.arange(len(targets)), targets))
    chosen = fixed_subset(tasks, images, seed, "probes")
    taken: list[Tensor] = []
    placed = []
    for experience, task in zip(stream, chosen, strict=True):
        dataset, start = experience.dataset.eval(), len(taken)
        taken += [dataset[row][0] for row in task.indices.tolist()]
        placed.append(replace(task, indices=torch.arange(start, len(taken))))
    return placed, torch.stack(taken)

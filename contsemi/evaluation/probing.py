"""What the frozen features are worth: probes that know the true labels of a few images.

They belong to the evaluator. Nothing of them flows back, and training is the same to the bit with
and without them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.data.scenario import TestTask
from contsemi.evaluation.predicts import HasFeatures
from contsemi.metrics.clustering_probe import clustering_quality, kmeans
from contsemi.metrics.few_shot_probe import few_shot_accuracy
from contsemi.metrics.knn_probe import knn_accuracy
from contsemi.metrics.linear_probe import linear_probe_accuracy
from contsemi.metrics.matrix import Undefined

__all__ = ["PROBES", "Probes"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Found = dict[str, float | Undefined]

PROBES = ("knn", "linear", "few_shot", "clustering")
NEIGHBOURS = (1, 20, 200)
WITHIN = 20  # neighbours within a task
SHOTS, QUERIES, EPISODES, WAYS = 5, 5, 200, 5


class Probes:
    """The probes of one run.

    Args:
        names: of the probes that are wanted.
        bank: images with true labels that the probes may learn from, by task.
        bank_images: [N, ...], what they point into, as the learner takes them.
        test: images that the probes are asked, by task.
        test_images: likewise.
        seed: of the run.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        bank: Sequence[TestTask],
        bank_images: Tensor,
        test: Sequence[TestTask],
        test_images: Tensor,
        seed: int,
    ) -> None:
        self.names, self.seed = names, seed
        self.bank, self.test = bank, test
        # Gathered once: the rest of both sets is not read.
        self.bank_images = bank_images[torch.cat([task.indices for task in bank])]
        self.test_images = test_images[torch.cat([task.indices for task in test])]

    def ask(self, learner: HasFeatures, seen: int) -> Found:
        """Every number that the wanted probes give, by its name in the records.

        Args:
            learner: whose features; those of all tasks are looked at, also of those to come.
            seen: tasks learned so far; 0 asks only for what the untrained network can answer.
        """
        train = _by_task(learner.features(self.bank_images), self.bank)
        test = _by_task(learner.features(self.test_images), self.test)
        found: Found = {}
        if "knn" in self.names:
            found |= _within_tasks(train, test)
        if not seen:
            return found
        old_train, old_test = _concatenated(train[:seen]), _concatenated(test[:seen])
        if "knn" in self.names:
            for k in NEIGHBOURS:
                found[f"knn_{k}"] = knn_accuracy(*old_train, *old_test, neighbours=k)
        if "linear" in self.names:
            found["linear"] = linear_probe_accuracy(*old_train, *old_test)
        if "few_shot" in self.names:
            found["few_shot_seen"] = self._few_shot(train[:seen])
            found["few_shot_unseen"] = (
                self._few_shot(train[seen:])
                if seen < len(train)
                else Undefined("every class has been learned")
            )
        if "clustering" in self.names:
            found |= self._clustering(*old_test)
        return found

    def _few_shot(self, parts: Sequence[tuple[Floats, Integers]]) -> float | Undefined:
        ways = min(WAYS, *(len(task.columns) for task in self.bank))
        if ways < 2:
            return Undefined("episodes need two classes in every task")
        found = few_shot_accuracy(
            *_concatenated(parts),
            ways=ways,
            shots=SHOTS,
            queries=QUERIES,
            episodes=EPISODES,
            seed=self.seed,
        )
        return found if isinstance(found, Undefined) else found.mean

    def _clustering(self, features: Floats, labels: Integers) -> Found:
        names = ("clustering_accuracy", "clustering_nmi", "clustering_ari")
        clusters = len(np.unique(labels))
        if clusters < 2:
            return dict.fromkeys(names, Undefined("one class has no clusters to tell apart"))
        quality = clustering_quality(kmeans(features, clusters=clusters, seed=self.seed), labels)
        if isinstance(quality, Undefined):
            return dict.fromkeys(names, quality)
        return dict(zip(names, (quality.accuracy, quality.nmi, quality.ari), strict=True))


def _within_tasks(
    train: Sequence[tuple[Floats, Integers]], test: Sequence[tuple[Floats, Integers]]
) -> Mapping[str, float | Undefined]:
    """How well the classes of each task are told apart, whether it has been learned or not."""
    return {
        f"knn_within/task_{task + 1}": knn_accuracy(*bank, *asked, neighbours=WITHIN)
        for task, (bank, asked) in enumerate(zip(train, test, strict=True))
    }


def _by_task(features: Tensor, tasks: Sequence[TestTask]) -> list[tuple[Floats, Integers]]:
    sizes = [len(task.indices) for task in tasks]
    parts = torch.split(features.float().cpu(), sizes)
    return [(part.numpy(), task.targets.numpy()) for part, task in zip(parts, tasks, strict=True)]


def _concatenated(parts: Sequence[tuple[Floats, Integers]]) -> tuple[Floats, Integers]:
    features, labels = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(labels)

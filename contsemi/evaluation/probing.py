"""What the frozen features are worth: probes that know the true labels of a few images.

They belong to the evaluator. Nothing of them flows back, and training is the same to the bit with
and without them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch

from contsemi.data.scenario import TestSet
from contsemi.errors import MethodFailed
from contsemi.evaluation.predicts import HasFeatures
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.probe import Found, Probe, Rows
from contsemi.stores.store import Images


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probes:
    """The probes of one run.

    Attributes:
        probes: that are wanted.
        bank: images with true labels that the probes may learn from, by task.
        bank_images: uint8 [N, 3, S, S], or a store: what they point into.
        test: images that the probes are asked, by task.
        test_images: likewise.
        seed: of the run.
    """

    probes: Sequence[Probe]
    bank: Sequence[TestSet]
    bank_images: Images
    test: Sequence[TestSet]
    test_images: Images
    seed: int

    def ask(self, asked: HasFeatures, seen: int, trained: Collection[int] = ()) -> Found:
        """Every number that the wanted probes give, by its name in the records.

        Args:
            asked: whose features; those of all tasks are looked at, also of those to come.
            seen: tasks learned so far; 0 asks only for what the untrained network can answer.
            trained: columns of which an image, of whatever task, has come in training so far.
        """
        bank = _by_task(asked, self.bank_images, self.bank)
        test = _by_task(asked, self.test_images, self.test)
        fresh = [*bank[:seen], *(_without(rows, trained) for rows in bank[seen:])]
        found: Found = {}
        for probe in self.probes:
            shown = fresh if probe.wants_untrained else bank
            told = probe.ask(shown, test, seen=seen, seed=self.seed)
            if not isinstance(told, dict) or not all(isinstance(name, str) for name in told):
                raise MethodFailed.returned(probe.ask, told, "a dict of numbers by name")
            for name, value in told.items():
                if not isinstance(value, Real | Undefined):
                    what = f"{name!r} is"
                    raise MethodFailed.returned(probe.ask, value, "a number", what=what)
            found |= told
        return found


def _without(rows: Rows, columns: Collection[int]) -> Rows:
    """The rows of all but some classes."""
    features, labels = rows
    kept = ~np.isin(labels, [*columns])
    return features[kept], labels[kept]


def _by_task(asked: HasFeatures, images: Images, tasks: Sequence[TestSet]) -> list[Rows]:
    """Features and labels of each task's images; no others are read."""
    features = asked.features(images, torch.cat([task.indices for task in tasks]))
    sizes = [len(task.indices) for task in tasks]
    parts = torch.split(features.float().cpu(), sizes)
    return [(part.numpy(), task.targets.numpy()) for part, task in zip(parts, tasks, strict=True)]

"""Nearest neighbours among training images."""

from collections.abc import Sequence
from dataclasses import dataclass

from contsemi.metrics.knn_probe import knn_accuracy
from contsemi.metrics.probes.probe import Found, Probe, Rows, concatenated


@dataclass(kw_only=True, eq=False)
class Knn(Probe):
    """The class that most of the nearest training images have."""

    neighbours: list[int]  # that vote among all classes seen, one accuracy for each number
    within: int  # neighbours that vote among the classes of one task

    def ask(self, bank: Sequence[Rows], test: Sequence[Rows], *, seen: int, seed: int) -> Found:
        """``knn_within/task_N`` of every task, and ``knn_K`` among all classes seen."""
        found: Found = {
            f"knn_within/task_{task + 1}": knn_accuracy(*own, *asked, neighbours=self.within)
            for task, (own, asked) in enumerate(zip(bank, test, strict=True))
        }
        if seen:
            rows = (*concatenated(bank[:seen]), *concatenated(test[:seen]))
            for k in self.neighbours:
                found[f"knn_{k}"] = knn_accuracy(*rows, neighbours=k)
        return found

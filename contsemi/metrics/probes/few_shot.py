"""Episodes of few classes with few images each."""

from collections.abc import Sequence
from dataclasses import dataclass

from contsemi.metrics.few_shot_probe import few_shot_accuracy
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.probe import Found, Probe, Rows, concatenated

__all__ = ["FewShot"]


@dataclass(kw_only=True, eq=False)
class FewShot(Probe):
    """How well new classes are told apart, among those seen and among those to come."""

    ways: int  # classes of an episode, at most those of the smallest task
    shots: int  # images of each that are known
    queries: int  # images of each that are asked
    episodes: int  # that the mean is of

    def ask(self, bank: Sequence[Rows], test: Sequence[Rows], *, seen: int, seed: int) -> Found:
        """``few_shot_seen`` and ``few_shot_unseen``."""
        if not seen:
            return {}
        ways = min(self.ways, *(len(set(labels.tolist())) for _, labels in bank))
        unseen: float | Undefined = Undefined("every class has been learned")
        if seen < len(bank):
            unseen = self._accuracy(bank[seen:], ways, seed)
        return {
            "few_shot_seen": self._accuracy(bank[:seen], ways, seed),
            "few_shot_unseen": unseen,
        }

    def _accuracy(self, parts: Sequence[Rows], ways: int, seed: int) -> float | Undefined:
        if ways < 2:
            return Undefined("episodes need two classes in every task")
        found = few_shot_accuracy(
            *concatenated(parts),
            ways=ways,
            shots=self.shots,
            queries=self.queries,
            episodes=self.episodes,
            seed=seed,
        )
        return found if isinstance(found, Undefined) else found.mean

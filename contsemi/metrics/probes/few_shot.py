"""Episodes of few classes with few images each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from contsemi.metrics.few_shot_episodes import FewShot as Result
from contsemi.metrics.few_shot_episodes import draw_episodes, episode_accuracy
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.probe import Found, Probe, Rows, concatenated

NONE_LEFT = Undefined("images of every class to come have trained already")


@dataclass(kw_only=True, eq=False)
class FewShot(Probe):
    """How well new classes are told apart, among those seen and among those that never trained.

    Images are the probes' training images. The labels of these and the seed decide the episodes, so
    that every method of a seed is asked the same ones.
    """

    wants_untrained: ClassVar[bool] = True

    ways: int  # classes of an episode, at most those of the smallest task
    shots: list[int]  # images of each that are known, one accuracy for each number
    queries: int  # images of each that are asked
    episodes: int  # that the mean is of; 10,000 in the papers' last tables
    similarity: str  # to the mean of a class: sns, dot, cosine or euclidean

    def ask(self, bank: Sequence[Rows], test: Sequence[Rows], *, seen: int, seed: int) -> Found:
        """``few_shot_seen_K``, ``few_shot_unseen_K``, and half the 95% intervals of both."""
        if not seen:
            return {}
        ways = min(self.ways, *(len(set(labels.tolist())) for _, labels in test))
        found: Found = {}
        for shots in self.shots:
            for name, parts in (("seen", bank[:seen]), ("unseen", bank[seen:])):
                result = self._accuracy(parts, ways, shots, seed)
                own = f"few_shot_{name}_{shots}"
                if isinstance(result, Undefined):
                    found |= {own: result, f"{own}_interval": result}
                else:
                    found |= {own: result.mean, f"{own}_interval": result.half_width}
        return found

    def _accuracy(
        self, parts: Sequence[Rows], ways: int, shots: int, seed: int
    ) -> Result | Undefined:
        if not parts:
            return Undefined("every class has been learned")
        if ways < 2:
            return Undefined("episodes need two classes in every task")
        features, labels = concatenated(parts)
        if not len(labels):
            return NONE_LEFT
        drawn = draw_episodes(
            labels,
            ways=ways,
            shots=shots,
            queries=self.queries,
            episodes=self.episodes,
            seed=seed,
        )
        if isinstance(drawn, Undefined):
            return drawn
        return episode_accuracy(features, drawn, similarity=self.similarity)

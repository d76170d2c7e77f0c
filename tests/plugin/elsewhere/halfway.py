"""A drift map: rows go a part of the mean way."""

from dataclasses import dataclass

from contsemi.memory.drift.drift import Drift


@dataclass(kw_only=True, eq=False)
class Halfway(Drift):
    share: float  # of the mean displacement

    def fitted(self, old, new, weights, draw):
        move = ((new - old) * weights[:, None]).sum(0) / weights.sum()
        return lambda rows: rows + self.share * move

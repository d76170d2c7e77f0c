"""A probe: how far features lie apart."""

from dataclasses import dataclass

import numpy as np

from contsemi.metrics.probes.probe import Probe


@dataclass(kw_only=True, eq=False)
class ScatterOf(Probe):
    power: float  # of the distances to the mean

    def ask(self, bank, test, *, seen, seed):
        rows = np.concatenate([features for features, _ in test])
        return {"scatter_of": float((np.abs(rows - rows.mean(0)) ** self.power).mean())}
